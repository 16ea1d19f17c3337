"""The programs of a real node: which they are, and the Go modules that give them.

The modules are apart because kubelet and runc want different versions of opencontainers/cgroups.
"""

from __future__ import annotations

from pathlib import Path

from sandbox.go_build import GoBuild

FOLDER = Path(__file__).parent
HOW = "`make real-node` (about 6 minutes, once)"

KUBE = GoBuild(
    what="kubelet and kube-proxy",
    module=FOLDER / "kube",
    cache="real-node/kube",
    programs=("kubelet", "kube-proxy"),
    how=HOW,
)
RUNTIME = GoBuild(
    what="containerd, runc and the CNI plugins",
    module=FOLDER / "runtime",
    cache="real-node/runtime",
    programs=("containerd", "containerd-shim-runc-v2", "runc", "bridge", "host-local", "loopback"),
    how=HOW,
    # runc needs seccomp: the sandbox container has a profile, whatever the pods ask for.
    flags=("-tags", "no_btrfs,no_devmapper,no_zfs,seccomp"),
)
APP = GoBuild(
    what="the demo app",
    module=FOLDER / "app",
    cache="real-node/app",
    programs=("hello", "load", "pause"),
    how=HOW,
    packages=("./hello", "./load", "./pause"),
    environment={"CGO_ENABLED": "0"},  # an image from scratch has no C library
)
BUILDS = (KUBE, RUNTIME, APP)
