"""Whether this machine can run a real node, and the exact reason where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sandbox.real_node.cgroups import missing_controllers

# A program, and the Debian package that has it.
PROGRAMS = {
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "awk": "mawk",
}
SECCOMP_HEADER = "seccomp.h"
APART = ("unshare", "--net", "--mount", "--uts", "--ipc", "--cgroup", "--pid", "--fork")
# What a node does in its namespaces, each with what to say where it fails.
TRIALS = {
    "namespaces cannot be made": "true",
    "a bridge cannot be made in a network namespace": "ip link add br0 type bridge",
    "virtual network cards cannot be made": "ip link add one type veth peer name two",
    "nftables does not work in a network namespace": "nft add table ip pilothouse",
    "bridged packets do not pass nftables (load the kernel module br_netfilter)": (
        "ip link add br0 type bridge && test -e /proc/sys/net/bridge/bridge-nf-call-iptables"
    ),
    "overlayfs cannot be mounted in the folder for temporary files (set TMPDIR)": (
        "mkdir a b c d && mount -t overlay overlay -o lowerdir=a,upperdir=b,workdir=c d"
    ),
}


class MachineUnfit(Exception):
    """A real node cannot run here; the message gives the reason and what would help."""


def check_machine() -> None:
    """Raises MachineUnfit."""
    if os.geteuid() != 0:
        raise MachineUnfit("it needs root: it makes namespaces, mounts and cgroups.")
    lacking = {package: name for name, package in PROGRAMS.items() if not shutil.which(name)}
    if lacking:
        raise MachineUnfit(
            f"{' and '.join(lacking.values())} missing (Debian: apt install {' '.join(lacking)})."
        )
    if controllers := missing_controllers():
        raise MachineUnfit(f"no cgroup hierarchy has {' and '.join(controllers)}.")
    with tempfile.TemporaryDirectory(prefix="pilothouse-real-node-") as folder:
        for number, (problem, trial) in enumerate(TRIALS.items()):
            own = Path(folder, str(number))
            own.mkdir()
            tried = subprocess.run(
                [*APART, "sh", "-c", trial],
                cwd=own,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            if tried.returncode != 0:
                raise MachineUnfit(f"{problem}: {tried.stderr.strip() or 'refused'}.")


def check_compiler() -> None:
    """Raises MachineUnfit where runc cannot be compiled: it is linked with libseccomp."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise MachineUnfit("a C compiler is missing (Debian: apt install gcc libc6-dev).")
    tried = subprocess.run(
        [compiler, "-E", "-"],
        input=f"#include <{SECCOMP_HEADER}>\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if tried.returncode != 0 or not shutil.which("pkg-config"):
        raise MachineUnfit(
            "libseccomp or pkg-config is missing (Debian: apt install libseccomp-dev pkg-config)."
        )
