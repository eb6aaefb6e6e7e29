#!/bin/sh
# Looks for what requirements/system.txt lists, and installs what is missing. Silent when nothing is.
#
#   tools/system.sh          install it: needs root and apt-get, and says so where they are not
#   tools/system.sh --check  only say what is missing, and fail then
#
# In shell, because it runs before there is a Python that one can count on.
set -eu
list=${SYSTEM_LIST:-$(dirname "$0")/../requirements/system.txt}

is_there() {
    case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# Sets `missing` (packages) and `reasons` (a line for each).
look() {
    missing='' reasons=''
    while read -r package sign purpose; do
        case $package in '' | '#'*) continue ;; esac
        is_there "$sign" && continue
        missing="$missing $package"
        reasons="$reasons  $package: $purpose
"
    done <"$list"
}

say_missing() {
    printf 'Tests need what is not on this machine:\n%s' "$reasons" >&2
}

look
[ -n "$missing" ] || exit 0
if [ "${1:-}" = --check ]; then
    say_missing
    echo 'Run `make system`, which installs it.' >&2
    exit 1
fi

install="apt-get install --yes --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    say_missing
    echo "There is no apt-get here. Install what this system calls them:$missing" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    say_missing
    echo "Only root may install packages. Run: sudo $install" >&2
    exit 1
fi
echo "installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# Lists that cannot be fetched may still be on disk, and fresh enough.
apt-get update >"$log" 2>&1 || true
# Unquoted: the command and its words.
if ! $install -o DPkg::Lock::Timeout=120 </dev/null >>"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "This has failed: $install" >&2
    exit 1
fi
look
[ -n "$missing" ] || exit 0
say_missing
echo 'They were installed and still cannot be found: is PATH as usual?' >&2
exit 1
