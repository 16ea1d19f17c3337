#!/usr/bin/env bash
# Sourced: cgroups of our own, version 1 (each hierarchy that is mounted) and version 2.
set -euo pipefail

cgroup_mounts() { awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts | sort -u; }

# cgroup_is_v2: whether version 2 is all there is.
cgroup_is_v2() { [ "$(awk '$3 == "cgroup" || $3 == "cgroup2" {print $3}' /proc/mounts | sort -u)" = cgroup2 ]; }

# cgroup_new NAME: makes a child of the root of every hierarchy and moves this process there.
cgroup_new() {
  local top file
  for top in $(cgroup_mounts); do
    if cgroup_is_v2; then # the root may hold processes and still have controllers for its children
      sed 's/[^ ][^ ]*/+&/g' "$top/cgroup.controllers" >"$top/cgroup.subtree_control"
    fi
    mkdir -p "$top/$1"
    for file in cpuset.cpus cpuset.mems; do # version 1: a new cpuset is empty, and takes no process
      if [ -e "$top/$file" ] && [ -z "$(cat "$top/$1/$file")" ]; then cat "$top/$file" >"$top/$1/$file"; fi
    done
    echo "$BASHPID" >"$top/$1/cgroup.procs"
  done
}

# cgroup_settle NAME: in a new cgroup namespace, before anything is forked. Version 2: a cgroup that has controllers for
# its children must hold no process itself.
cgroup_settle() {
  local top
  for top in $(cgroup_mounts); do
    if [ -e "$top/cgroup.subtree_control" ]; then
      mkdir -p "$top/$1/init"
      echo "$BASHPID" >"$top/$1/init/cgroup.procs"
    fi
  done
}

# cgroup_join NAME: moves this process to the first one.
cgroup_join() {
  local top
  for top in $(cgroup_mounts); do
    if [ -d "$top/$1/init" ]; then
      echo "$BASHPID" >"$top/$1/init/cgroup.procs"
    else
      echo "$BASHPID" >"$top/$1/cgroup.procs"
    fi
  done
}

# cgroup_own_view: in new cgroup and mount namespaces, the hierarchies again, with our own cgroup as their root.
cgroup_own_view() {
  local lines line where kind options is_v2=no
  if cgroup_is_v2; then is_v2=yes; fi
  mapfile -t lines < <(awk '$3 == "cgroup" || $3 == "cgroup2" {print $2, $3, $4}' /proc/mounts | sort -u)
  mount -t sysfs sysfs /sys
  if [ "$is_v2" = yes ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    sed 's/[^ ][^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
    return
  fi
  mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
  for line in "${lines[@]}"; do
    read -r where kind options <<<"$line"
    mkdir -p "$where"
    if [ "$kind" = cgroup2 ]; then
      mount -t cgroup2 cgroup2 "$where"
      continue
    fi
    options=$(echo "$options" | tr , '\n' |
      grep -vE '^(rw|ro|relatime|noatime|nosuid|nodev|noexec|clone_children|xattr|release_agent=.*)$' | paste -sd,)
    case $options in name=*) options=none,$options ;; esac
    mount -t cgroup -o "$options" cgroup "$where"
  done
}
