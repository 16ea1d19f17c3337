#!/usr/bin/env bash
# apart.sh CGROUP COMMAND...: runs the command as the first process of new namespaces, in a cgroup of its own.
# Its end, and that of this process, is the end of everything in there.
set -euo pipefail
here=$(dirname "$0")
if [ "$1" = --settled ]; then
  exec unshare --net --mount --uts --ipc --pid --fork --kill-child "${@:2}"
fi
. "$here/cgroups.sh"
cgroup_new "$1"
# The namespace begins where this process is now; then it moves on.
# shellcheck disable=SC2016 # the inner shell expands it
exec unshare --cgroup bash -c '. "$0/cgroups.sh" && cgroup_settle "$1" && exec "$0/apart.sh" --settled "${@:2}"' "$here" "$@"
