#!/usr/bin/env bash
# Run README's commands on a bare Debian, to see that README names all they
# need. By hand, as root; takes 10 GB in the folder, which stays for a look.
#
#   .ci/bare_machine.sh /var/tmp/bare                     make demo, make test
#   .ci/bare_machine.sh /var/tmp/bare 'make setup'        only this
#
#   SUITE=trixie        the Debian release (default bookworm: Python 3.11)
#   MIRROR=URL          where its packages are
#   BIND='DIR FILE'     what of this machine is also there, read-only: pip's
#                       configuration, certificates, folders of wheels
#   PASS='NAME NAME'    environment variables that are handed on, as PIP_CERT
#
# The folder is a chroot in a mount namespace of its own, so nothing stays
# mounted. A second call goes on where the first stopped.
set -euo pipefail

if [ $# = 0 ] || [ "$(id -u)" != 0 ]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
root=$(realpath -m "$1")
commands=${2:-'make demo && make test'}
repo=$(cd "$(dirname "$0")/.." && pwd)

# What README and docs/get_started.md name, in Debian's words.
packages='python3 python3-venv python3-dev g++ make'

if [ -z "${BARE_MACHINE_MOUNTS:-}" ]; then
  BARE_MACHINE_MOUNTS=own exec unshare --mount --propagation private \
    "$0" "$@"
fi

inside() { chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

if [ ! -e "$root/bare_machine.done" ]; then
  debootstrap --variant=minbase "${SUITE:-bookworm}" "$root" \
    "${MIRROR:-http://deb.debian.org/debian}"
  touch "$root/bare_machine.done"
fi

mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"

# shellcheck disable=SC2086 # words
inside DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
  --no-install-recommends $packages

for path in ${BIND:-}; do
  if [ -d "$path" ]; then
    mkdir -p "$root$path"
  else
    mkdir -p "$root$(dirname "$path")" && touch "$root$path"
  fi
  mount --bind -o ro "$path" "$root$path"
done
passed=()
for name in ${PASS:-}; do passed+=("$name=${!name}"); done

if [ -e "$root/root/checkout" ]; then
  git -C "$root/root/checkout" fetch -q "$repo" HEAD
  git -C "$root/root/checkout" reset -q --hard FETCH_HEAD
else
  git clone -q --no-local "$repo" "$root/root/checkout"
fi

inside "${passed[@]}" bash -c "cd /root/checkout && time ($commands)"
