#!/usr/bin/env bash
# Test on N devices of this machine: dist_test.sh CONFIG CHECKPOINT N [options of test.py]
# Environment: see launch.sh.
exec "$(dirname "$0")/launch.sh" dist test "$@"
