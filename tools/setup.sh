#!/usr/bin/env bash
# Make the environment in .venv, or return at once when it is up to date.
#
#   make setup                      choose a Python by itself
#   make setup LINE=onedl           OneDL's OpenMMLab, in .venv-onedl
#   make setup PYTHON=python3.12    use this one
#   MAX_JOBS=1 make setup           compile with one job (little memory)
#   FORCE_CUDA=1 make setup         build the ops for CUDA although no GPU
#                                   answers (with TORCH_CUDA_ARCH_LIST)
#
# Every version comes from requirements/. mmcv's compiled ops are kept in pip's
# cache folder, so the next checkout compiles nothing.
set -Eeuo pipefail
cd "$(dirname "$0")/.."

readonly log=setup.log
readonly supported='3.10, 3.11 or 3.12'

say() { printf 'setup: %s\n' "$*"; }

logging='' # not empty once the log belongs to this run
fail() {
  printf 'setup: %s\n' "$*" >&2
  if [ -n "$logging" ]; then printf 'setup: details in %s\n' "$log" >&2; fi
  exit 1
}

# The line of OpenMMLab packages: an environment, its pins, the name of mmcv.
case ${LINE:-openmmlab} in
  openmmlab)
    readonly venv=.venv pins=requirements/mminstall.txt mmcv=mmcv ;;
  onedl)
    readonly venv=.venv-onedl pins=requirements/onedl.txt mmcv=onedl-mmcv ;;
  *)
    fail "LINE=$LINE is not known; give openmmlab (the default) or onedl" ;;
esac
readonly py=$venv/bin/python
readonly stamp=$venv/setup.stamp

elapsed() {
  printf '%dm%02ds' $((($SECONDS - $1) / 60)) $((($SECONDS - $1) % 60))
}

# --- What is there ----------------------------------------------------------

python_version() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

is_supported() { [[ $1 == 3.10 || $1 == 3.11 || $1 == 3.12 ]]; }

# What a version that is not supported is called.
describe() {
  case $1 in
    2.* | 3.[0-9]) printf '%s' "$1" ;;
    *) printf '%s (newer than this was tried with)' "$1" ;;
  esac
}

# Sets `python`.
find_python() {
  local candidate version found=''
  if [ -n "${PYTHON:-}" ]; then
    version=$(python_version "$PYTHON") || fail "PYTHON=$PYTHON does not" \
      "run; give the path of Python $supported"
    is_supported "$version" || fail "Python $supported is needed, but" \
      "PYTHON=$PYTHON is $(describe "$version")"
    python=$PYTHON
    return
  fi
  for candidate in python3 python3.12 python3.11 python3.10; do
    version=$(python_version "$candidate") || continue
    if is_supported "$version"; then
      python=$candidate
      return
    fi
    found="$found $candidate is $(describe "$version"),"
  done
  fail "Python $supported is needed, but${found:- none was found,}" \
    "so install one or name it: make setup PYTHON=/path/to/python"
}

check_can_make_venv() {
  "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no" \
    "venv module; install it (on Debian and Ubuntu: apt install python3-venv)"
}

check_disk() {
  local free_kb
  free_kb=$(df -Pk . | awk 'NR == 2 {print $4}')
  ((free_kb > 6000000)) || fail "the disk is full: $((free_kb / 1000)) MB are" \
    "free in $PWD, and the environment takes about 8 GB"
}

check_can_compile() {
  local compiler=${CXX:-c++} header
  # CXX may carry options, so only its first word is a program.
  command -v "${compiler%% *}" >/dev/null || fail "no C++ compiler" \
    "(${compiler%% *}) was found, and mmcv's ops have to be compiled;" \
    "install one (on Debian and Ubuntu: apt install build-essential)"
  header=$("$python" -c \
    'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
  [ -f "$header" ] || fail "Python's C headers ($header) are missing, and" \
    "mmcv's ops have to be compiled; install them (on Debian and Ubuntu:" \
    "apt install python3-dev)"
}

# Sets `cuda_home` and `cuda` (the release and the GPUs), both empty where the
# ops are to be built for the CPU alone, and `ops`, what the screen says.
choose_ops() {
  local nvcc release wanted
  cuda_home='' cuda=''
  if [ "${FORCE_CUDA:-0}" != 1 ] && ! nvidia-smi >/dev/null 2>&1; then
    ops='for the CPU (no NVIDIA GPU answers)'
    return
  fi
  nvcc=$(PATH="${CUDA_HOME:-/usr/local/cuda}/bin:$PATH" command -v nvcc) || {
    ops='for the CPU (no nvcc was found)'
    return
  }
  release=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')
  wanted=$("$py" -c 'import torch; print(torch.version.cuda or "")')
  if [ "${release%%.*}" != "${wanted%%.*}" ]; then
    ops="for the CPU (nvcc is $release, torch needs ${wanted:-no CUDA})"
    return
  fi
  # nvcc on the PATH may be a wrapper; its dry run tells where CUDA lies.
  cuda_home=$("$nvcc" --dryrun -x cu -E /dev/null 2>&1 |
    sed -n 's/^#\$ TOP=//p') || true
  cuda_home=$(cd "${cuda_home:-$(dirname "$nvcc")/..}" && pwd)
  cuda="$release ${TORCH_CUDA_ARCH_LIST:-$(nvidia-smi \
    --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -uV)}"
  cuda=${cuda//[!0-9A-Za-z.+]/-} # part of a folder's name
  ops="for CUDA $release ($cuda_home)"
}

count_jobs() {
  local cores memory_kb jobs
  cores=$(nproc)
  memory_kb=$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)
  jobs=$((memory_kb / 2000000)) # a compiler takes up to 2 GB
  if ((jobs > cores)); then jobs=$cores; fi
  if ((jobs < 1)); then jobs=1; fi
  printf '%d' "$jobs"
}

# --- Running pip ------------------------------------------------------------

# What the end of the log says is going on.
latest_news() {
  tail -c 400000 "$log" | grep -aoE \
    '^ *(\[[0-9]+/[0-9]+\]|(Downloading|Using cached) [^ ]*|Installing)' |
    tail -n 1 |
    sed -E 's/^ *//; s,\[(.*)/(.*)\],compiled \1 of \2 files,' || true
}

# Run a command into the log, with a live line on a terminal and a line every
# 30 seconds elsewhere. Returns the command's status; `step_log` holds its part
# of the log.
job=''
run() {
  local start=$SECONDS shown=$SECONDS status=0 from
  from=$(($(wc -c <"$log") + 1))
  printf '\n$ %s\n' "$*" >>"$log"
  set -m # a process group of its own, so that an interrupt ends all of it
  "$@" >>"$log" 2>&1 </dev/null &
  job=$!
  set +m
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.1
    if [ -t 1 ] && ((SECONDS > shown)); then
      printf '\r\033[K       %s  %s' "$(elapsed $start)" "$(latest_news)"
      shown=$SECONDS
    elif ! [ -t 1 ] && ((SECONDS >= shown + 30)); then
      printf '       %s  %s\n' "$(elapsed $start)" "$(latest_news)"
      shown=$SECONDS
    fi
  done
  if [ -t 1 ]; then printf '\r\033[K'; fi
  wait "$job" || status=$?
  job=''
  step_log=$(tail -c "+$from" "$log")
  if ((status == 0)); then say "      done in $(elapsed $start)"; fi
  return "$status"
}

stop() {
  if [ -t 1 ]; then printf '\r\033[K'; fi
  if [ -n "$job" ]; then
    # Gently first: pip then deletes its temporary files.
    kill -INT -- "-$job" 2>/dev/null || true
    for _ in {1..100}; do
      kill -0 "$job" 2>/dev/null || break
      sleep 0.1
    done
    kill -TERM -- "-$job" 2>/dev/null || true
  fi
  fail 'interrupted; run make setup again to go on'
}
trap stop INT TERM
trap 'fail "line $LINENO of tools/setup.sh failed unexpectedly"' ERR

explain_want() {
  case $step_log in
    *'No space left on device'* | *'Disk quota exceeded'*)
      fail "the disk is full; the environment takes about 8 GB" ;;
    *'Killed signal'* | *'virtual memory exhausted'* | *'out of memory'*)
      fail "$1 ran out of memory; try MAX_JOBS=1 make setup" ;;
  esac
}

# The reason of pip's failure, in one sentence.
explain() {
  local what=$1 reason
  explain_want "$what"
  case $step_log in
    *'build stopped'* | *'Failed building wheel'* | *'failed-wheel-build'*)
      fail "$what could not be compiled" ;;
    # The second line is what pip says of half a file, the last one of a
    # constraint that it finds no file for.
    *'Connection'* | *'timed out'* | *'HTTP error'* | \
      *'incomplete-download'* | *'DO NOT MATCH THE HASHES'* | *' is invalid.'* | \
      *'No matching distribution'* | *'ResolutionImpossible'*)
      fail "$what could not be downloaded; check the network (or pip's proxy" \
        "and index settings) and run make setup again" ;;
  esac
  reason=$(grep -a '^ERROR' <<<"$step_log" | tail -n 1) || true
  fail "$what could not be installed${reason:+ (${reason#ERROR: })}"
}

pip=("$py" -m pip --disable-pip-version-check --no-input)

install() {
  local what=$1
  shift
  run "${pip[@]}" install --progress-bar off "$@" || explain "$what"
}

pin() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" requirements/*.txt; }

# --- mmcv and its ops -------------------------------------------------------

# Is it the pinned mmcv, with ops that load? Built for another torch or, where
# CUDA is wanted, for the CPU alone they do not count. Only the ops are loaded:
# what the rest of mmcv imports comes later.
ops_fit() {
  "$py" - "$mmcv" "$(pin $mmcv)" "${cuda_home:-}" >>"$log" 2>&1 <<'PYTHON'
import sys
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import torch  # noqa: F401, the ops need its libraries

name, pinned, cuda_home = sys.argv[1:]
if version(name) != pinned:
    sys.exit(f'{name} {version(name)} is not {pinned}')
(folder,) = find_spec('mmcv').submodule_search_locations
files = list(Path(folder).glob('_ext.*.so'))
if not files:
    sys.exit(f'{name} has no ops')
spec = spec_from_file_location('_ext', files[0])
ops = module_from_spec(spec)
spec.loader.exec_module(ops)
if cuda_home and ops.get_compiling_cuda_version() == 'not available':
    sys.exit(f'{files[0]} is built for the CPU alone')
PYTHON
}

# Two attempts: with the files joined, then as mmcv's authors compile them.
run_installer() {
  local status=0
  local command=("$py" tools/install_mmcv.py "$mmcv==$(pin $mmcv)"
    --cache "$cache" --cuda "$cuda" "$@")
  run "${command[@]}" || status=$?
  if ((status == 3)); then
    explain_want "$release"
    say "      $(tail -n 1 <<<"$step_log"): compiling mmcv's files one by" \
      'one (10-20 minutes)'
    status=0
    run "${command[@]}" --one-by-one || status=$?
  fi
  if ((status != 0)); then explain "$release"; fi
}

install_mmcv() {
  local site cache
  export MMCV_WITH_OPS=1 MAX_JOBS="${MAX_JOBS:-$(count_jobs)}"
  if [ -n "$cuda_home" ]; then
    # The headers of cuBLAS and the rest come with torch's own packages.
    site=$("$py" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    CPATH=$(printf '%s:' "$site"/nvidia/*/include)$cuda_home/include
    LIBRARY_PATH=$cuda_home/lib64:$cuda_home/lib${LIBRARY_PATH:+:$LIBRARY_PATH}
    export FORCE_CUDA=1 CUDA_HOME="$cuda_home" CPATH LIBRARY_PATH
  else
    # mmcv builds for CUDA wherever torch sees a GPU, nvcc or not.
    export FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=''
  fi
  # pip's own cache does not tell wheels of one version apart.
  cache=$("${pip[@]}" cache dir 2>/dev/null) || cache=$venv
  cache=$cache/freeseg_mm
  run_installer
  if ops_fit; then return; fi
  say "      the mmcv that pip found has no ops that fit: compiling them"
  run_installer --from-source
  ops_fit || fail "the ops of $release do not load: $(tail -n 1 "$log")"
}

# opencv-python loads the libraries of a desktop. Where they are absent, its
# headless twin goes over it: the same module, and the name that mmcv and
# mmengine ask for stays installed.
mend_opencv() {
  local version
  if "$py" -c 'import cv2' >>"$log" 2>&1; then return; fi
  say "      opencv-python does not load here ($(tail -n 1 "$log")):" \
    'replacing its files by opencv-python-headless'
  version=$("$py" -c 'from importlib.metadata import version
print(version("opencv-python"))')
  install opencv-python-headless --no-deps --force-reinstall \
    "opencv-python-headless==$version"
}

# --- The whole ---------------------------------------------------------------

key=$({
  pwd
  cat requirements/*.txt setup.cfg pyproject.toml tools/setup.sh \
    tools/install_mmcv.py
} | sha256sum)
have=$(python_version "$py") || have=''

if [ -n "$have" ]; then
  is_supported "$have" || fail "$venv holds Python $have, but Python" \
    "$supported is needed; delete $venv and run make setup again"
  if [ -n "${PYTHON:-}" ]; then
    find_python
    asked=$(python_version "$python")
    [ "$asked" = "$have" ] || fail "$venv holds Python $have, but" \
      "PYTHON=$PYTHON is $asked; delete $venv to change"
  fi
  if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then exit 0; fi
fi

: >"$log"
logging=yes
if [ -n "$have" ]; then
  python=$py
  say "bringing $venv (Python $have) up to date; details go to $log"
else
  find_python
  check_can_make_venv
  say "making $venv with $python (Python $(python_version "$python"));" \
    "details go to $log"
fi
cuda_home=''
if ! ops_fit; then check_can_compile; fi
if [ -z "$have" ]; then
  check_disk
  run "$python" -m venv --clear "$venv" ||
    fail "$python could not make a virtual environment in $venv"
fi
rm -f "$stamp"

say "[1/4] torch $(pin torch) and the build tools" \
  "(the first time 2.5 GB to download, 2-5 minutes)"
install "torch $(pin torch)" -r requirements/build.txt

choose_ops
release="mmcv $(pin $mmcv)"
if ops_fit; then
  say "[2/4] $release is there, ops $ops"
else
  say "[2/4] $release, ops $ops" \
    "(the first time $([ -n "$cuda" ] && echo 10-20 || echo 1-2) minutes" \
    'to compile)'
  install_mmcv
fi

say "[3/4] mmengine, mmdet, open_clip, the page and the test tools" \
  "(a minute or two)"
install 'the remaining packages' -c requirements/build.txt -r "$pins" \
  -r requirements/runtime.txt -r requirements/webdemo.txt \
  -r requirements/tests.txt -r requirements/lint.txt
mend_opencv
"$py" -c 'import mmcv.ops' >>"$log" 2>&1 ||
  fail "$release does not load: $(tail -n 1 "$log")"

say '[4/4] freeseg_mm itself, editable'
install 'freeseg_mm' --no-build-isolation --no-deps -e .

printf '%s\n' "$key" >"$stamp"
say "ready after $(elapsed 0)"
