#!/usr/bin/env bash
# Train on N devices of this machine: dist_train.sh CONFIG N [options of train.py]
# Environment: see launch.sh.
exec "$(dirname "$0")/launch.sh" dist train "$@"
