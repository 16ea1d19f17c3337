#!/usr/bin/env bash
# cluster.sh STATE: the first process of a cluster. Its network is one bridge, 10.240.0.0/24, with no way out.
set -euo pipefail
state=$1
. "$(dirname "$0")/cgroups.sh"
read -r pid _ </proc/self/stat # /proc is still the machine's, and so is this number
mount -t proc proc /proc
cgroup_own_view
mount -t tmpfs tmpfs /run
hostname cluster
ip link set lo up
ip link add br0 type bridge
ip addr add 10.240.0.1/24 dev br0
ip link set br0 up
echo 1 >/proc/sys/net/ipv4/ip_forward
echo "$pid" >"$state/run/cluster.new"
mv "$state/run/cluster.new" "$state/run/cluster"
while :; do sleep 3600 & wait $! || true; done # bash reaps what is orphaned here
