#!/usr/bin/env bash
# Test on N devices of this machine: dist_test.sh CONFIG CHECKPOINT N [options of test.py]
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT N [options]" >&2
    exit 2
fi
config=$1 checkpoint=$2 devices=$3
shift 3
exec "$(dirname "$0")/launch.sh" test.py "$config" "$devices" "$checkpoint" "$@"
