#!/usr/bin/env bash
# enter.sh CGROUP PID COMMAND...: runs the command in the cgroup and the namespaces of a cluster.
set -euo pipefail
. "$(dirname "$0")/cgroups.sh"
cgroup_join "$1"
# shellcheck disable=SC2016 # the inner shell expands it
exec nsenter --target "$2" --all sh -c 'cd "$0" && exec "$@"' "$PWD" "${@:3}"
