"""The binaries of the control plane: which they are, and the folder they are in."""

from __future__ import annotations

from pathlib import Path

from sandbox.go_build import BinariesMissing, GoBuild

MODULE = Path(__file__).parent
BUILD = GoBuild(
    what="the real control plane",
    module=MODULE,
    cache="control-plane",
    programs=(
        "server",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
        "kwok",
        "helm",
    ),
    how="`make control-plane` (about 6 minutes, once)",
)

__all__ = ["BUILD", "MODULE", "BinariesMissing", "built_binaries", "kubernetes_version"]


def kubernetes_version() -> str:
    """Of go.mod, without the v: `1.36.3`."""
    return BUILD.version_of("k8s.io/kubernetes")


def built_binaries() -> Path:
    """The folder of the binaries. Raises BinariesMissing until `make control-plane` has built
    them."""
    return BUILD.built()
