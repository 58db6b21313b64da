#!/usr/bin/env bash
# Start a process a device, on this machine (dist) or on a cluster (slurm):
#   launch.sh dist train CONFIG N [options of train.py]
#   launch.sh dist test CONFIG CHECKPOINT N [options of test.py]
#   launch.sh slurm train PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]
#   launch.sh slurm test PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
#   launch.sh slurm pseudo-labels PARTITION JOB_NAME CONFIG CHECKPOINT OUT [options of make]
# Without GPUs, dist starts N CPU processes (gloo). The environment may hold PYTHON; for dist on
# several machines NNODES, NODE_RANK, MASTER_ADDR, PORT; for slurm GPUS (default 8),
# GPUS_PER_NODE (8), CPUS_PER_TASK (5), SRUN_ARGS.
set -euo pipefail
way=${1:-} task=${2:-}
case "$way $task" in
    'dist train') words=(CONFIG N) ;;
    'dist test') words=(CONFIG CHECKPOINT N) ;;
    'slurm train') words=(PARTITION JOB_NAME CONFIG WORK_DIR) ;;
    'slurm test') words=(PARTITION JOB_NAME CONFIG CHECKPOINT) ;;
    'slurm pseudo-labels') words=(PARTITION JOB_NAME CONFIG CHECKPOINT OUT) ;;
    *) sed -n 's/^# *launch/usage: launch/p' "$0" >&2; exit 2 ;;
esac
shift 2
here=$(cd "$(dirname "$0")" && pwd)
if (($# < ${#words[@]})); then
    name=${way}_$task.sh
    [ -e "$here/$name" ] || name="launch.sh $way $task"
    echo "usage: $name ${words[*]} [options]" >&2
    exit 2
fi
CHECKPOINT='' # of the arguments alone
for word in "${words[@]}"; do
    declare "$word=$1"
    shift
done
python=${PYTHON:-python}
if [ -z "${PYTHON:-}" ] && [ -x "$here/../.venv/bin/python" ]; then
    python=$here/../.venv/bin/python
fi
if [ "$way" = dist ]; then
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
    exec "$python" -m torch.distributed.run \
        --nnodes="${NNODES:-1}" \
        --node_rank="${NODE_RANK:-0}" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="${PORT:-29500}" \
        --nproc_per_node="$N" \
        "$here/$task.py" "$CONFIG" ${CHECKPOINT:+"$CHECKPOINT"} "$@" --launcher pytorch
fi
case $task in
    train) command=("$here/train.py" "$CONFIG" "--work-dir=$WORK_DIR") ;;
    test) command=("$here/test.py" "$CONFIG" "$CHECKPOINT") ;;
    *) command=(-m freeseg_mm pseudo-labels make "$CONFIG" "$CHECKPOINT" --out "$OUT") ;;
esac
# SRUN_ARGS holds several words on purpose
# shellcheck disable=SC2086
srun -p "$PARTITION" --job-name="$JOB_NAME" \
    --gres="gpu:${GPUS_PER_NODE:-8}" --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} "$python" -u "${command[@]}" --launcher=slurm "$@"
if [ "$task" = pseudo-labels ]; then # the shares become one
    exec "$python" -u "${command[@]}" "$@"
fi
