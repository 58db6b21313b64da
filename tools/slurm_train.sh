#!/usr/bin/env bash
# Train on Slurm: slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]
# Environment: see launch.sh.
exec "$(dirname "$0")/launch.sh" slurm train "$@"
