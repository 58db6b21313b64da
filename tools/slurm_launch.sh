#!/usr/bin/env bash
# What the slurm_*.sh share: slurm_launch.sh PARTITION JOB_NAME COMMAND [arguments]
# GPUS (default 8), GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS come from the environment.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 PARTITION JOB_NAME COMMAND [arguments]" >&2
    exit 2
fi
partition=$1 job=$2
shift 2
gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
# SRUN_ARGS holds several words on purpose
# shellcheck disable=SC2086
exec srun -p "$partition" --job-name="$job" \
    --gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} "$@"
