#!/usr/bin/env bash
# Test on a Slurm cluster: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
# Environment: see slurm_launch.sh.
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options]" >&2
    exit 2
fi
partition=$1 job=$2 config=$3 checkpoint=$4
shift 4
here=$(dirname "$0")
exec "$here/slurm_launch.sh" "$partition" "$job" \
    "${PYTHON:-python}" -u "$here/test.py" "$config" "$checkpoint" \
    --launcher=slurm "$@"
