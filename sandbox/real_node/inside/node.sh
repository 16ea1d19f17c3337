#!/usr/bin/env bash
# node.sh STATE NODES N RUNTIME KUBE: the first process of node N: containerd, kubelet and kube-proxy with a network,
# mounts, cgroups and processes of their own. Its end is the loss of the machine, with every pod on it.
set -euo pipefail
state=$1 nodes=$2 n=$3 runtime=$4 kube=$5
data=$state/node-$n ip=10.240.0.$((10 + n))
. "$(dirname "$0")/cgroups.sh"
read -r pid _ </proc/self/stat
echo "$pid" >"$state/run/node-$n.new"
mv "$state/run/node-$n.new" "$state/run/node-$n"
mount -t proc proc /proc
cgroup_own_view
hostname "node-$n"
# The machine's /var and /run stay as they are: a node has its own.
mkdir -p "$data"/var/{lib,log,tmp} "$data"/etc
ln -sfn /run "$data/var/run"
mount --bind "$data/var" /var
mount -t tmpfs -o mode=755 tmpfs /run
mount --make-rshared /
# The kubelet sets these for the whole machine: it is shown files that hold the values already, so that it changes nothing.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=$data/etc/$(echo "${setting%=*}" | tr / _)
  echo "${setting#*=}" >"$file"
  mount --bind "$file" "/proc/sys/${setting%=*}"
done

until [ -e "$state/run/node-$n.wired" ]; do sleep 0.02; done
ip link set lo up
ip link set eth0 up
ip addr add "$ip/24" dev eth0
ip route add default via 10.240.0.1
for other in $(seq "$nodes"); do
  [ "$other" = "$n" ] || ip route add "10.244.$other.0/24" via "10.240.0.$((10 + other))"
done
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables # else replies between pods of one node bypass a Service's translation

cd "$data/etc"
mkdir -p registries/_default cni
cat >registries/_default/hosts.toml <<C
server = "http://10.240.0.1:5000"
C
cat >cni/10-bridge.conflist <<C
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true, "mtu": 1500,
   "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": [[{"subnet": "10.244.$n.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
C
cat >containerd.toml <<C
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.snapshotter.v1.overlayfs']
  mount_options = ["volatile"] # else each unmount waits until the whole disk is synced
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "pilothouse/pause:1"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "$data/etc/registries"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true # many machines do not let us lower a score
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    BinaryName = "$runtime/runc"
    SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["$runtime"]
  conf_dir = "$data/etc/cni"
C
: >resolv.conf # containerd must not ask the machine's DNS, and pods know no other than the cluster's
mount --bind "$data/etc/resolv.conf" /etc/resolv.conf
cat >kubelet.yaml <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/certs/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [10.240.0.1]
clusterDomain: cluster.local
resolvConf: $data/etc/resolv.conf
nodeLeaseDurationSeconds: 8
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
failSwapOn: false
C
cat >proxy.yaml <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $state/inside.kubeconfig}
clusterCIDR: 10.244.0.0/16
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s} # a namespace cannot set them
C

export PATH=$runtime:$PATH
cd "$data"
"$runtime/containerd" --config etc/containerd.toml &>"$state/node-$n-containerd.log" &
containerd=$!
until [ -S /run/containerd/containerd.sock ]; do
  kill -0 "$containerd" || break
  sleep 0.02
done
"$kube/kubelet" --config=etc/kubelet.yaml --kubeconfig="$state/inside.kubeconfig" --hostname-override="node-$n" \
  --node-ip="$ip" &>"$state/node-$n-kubelet.log" &
"$kube/kube-proxy" --config=etc/proxy.yaml --hostname-override="node-$n" &>"$state/node-$n-proxy.log" &
# The node ends with the first of the three; its parent shows the reason.
wait -n || true
grep -hE '^[EF]|level=(error|fatal)|rror:' "$state/node-$n"-{containerd,kubelet,proxy}.log | tail -n 3 >&2
exit 1
