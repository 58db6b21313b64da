#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: launch.sh SCRIPT CONFIG N [arguments]
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: dist_train.sh CONFIG N [options]" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
script=$1 config=$2 devices=$3
shift 3
python=${PYTHON:-python}
if [ -z "${PYTHON:-}" ] && [ -x "$here/../.venv/bin/python" ]; then
    python=$here/../.venv/bin/python
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$python" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$devices" \
    "$here/$script" "$config" "$@" --launcher pytorch
