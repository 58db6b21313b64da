#!/usr/bin/env bash
# Train on N devices of this machine: dist_train.sh CONFIG N [options of train.py]
# Without GPUs, N CPU processes (gloo). Several machines: NNODES, NODE_RANK, MASTER_ADDR, PORT.
set -euo pipefail
exec "$(dirname "$0")/launch.sh" train.py "$@"
