#!/usr/bin/env bash
# Test on Slurm: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
# Environment: see launch.sh.
exec "$(dirname "$0")/launch.sh" slurm test "$@"
