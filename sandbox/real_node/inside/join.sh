#!/usr/bin/env bash
# join.sh STATE NODES N RUNTIME KUBE: runs node N of that many in a cluster's namespaces, and wires it to the bridge.
set -euo pipefail
state=$1 n=$3
here=$(dirname "$0")
mkdir -p "$state/node-$n"
rm -f "$state/run/node-$n" "$state/run/node-$n.wired"
"$here/apart.sh" "node-$n" bash "$here/node.sh" "$@" &
node=$!
until [ -e "$state/run/node-$n" ]; do
  kill -0 "$node" || exit 1
  sleep 0.02
done
ip link del "veth-$n" 2>/dev/null || true
ip link add "veth-$n" type veth peer name eth0 netns "$(cat "$state/run/node-$n")"
ip link set "veth-$n" master br0 up
ip route replace "10.244.$n.0/24" via "10.240.0.$((10 + n))"
# Services, for clients in this network: node 1 translates.
if [ "$n" = 1 ]; then ip route replace 10.96.0.0/16 via 10.240.0.11; fi
touch "$state/run/node-$n.wired"
wait "$node"
