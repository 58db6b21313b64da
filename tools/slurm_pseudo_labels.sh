#!/usr/bin/env bash
# Make pseudo labels on a Slurm cluster, a share of the images a GPU, and join them:
# slurm_pseudo_labels.sh PARTITION JOB_NAME CONFIG CHECKPOINT OUT [options of pseudo-labels make]
# Environment: see slurm_launch.sh.
set -euo pipefail
if [ $# -lt 5 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT OUT [options]" >&2
    exit 2
fi
partition=$1 job=$2 config=$3 checkpoint=$4 out=$5
shift 5
make=("${PYTHON:-python}" -u -m freeseg_mm pseudo-labels make
    "$config" "$checkpoint" --out "$out" "$@")
"$(dirname "$0")/slurm_launch.sh" "$partition" "$job" \
    "${make[@]}" --launcher=slurm
exec "${make[@]}"
