#!/usr/bin/env bash
# Train on a Slurm cluster: slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]
# Environment: see slurm_launch.sh.
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options]" >&2
    exit 2
fi
partition=$1 job=$2 config=$3 work_dir=$4
shift 4
here=$(dirname "$0")
exec "$here/slurm_launch.sh" "$partition" "$job" \
    "${PYTHON:-python}" -u "$here/train.py" "$config" \
    --work-dir="$work_dir" --launcher=slurm "$@"
