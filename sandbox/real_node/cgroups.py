"""The machine's view of a cluster's cgroups: which hierarchies there are, and their removal.

`python -I cgroups.py NAME` removes them by itself: a guardian runs it when its owner was killed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

EMPTY_WITHIN_S = 10.0
NEEDED = ("cpu", "memory", "pids")


def hierarchies() -> dict[Path, frozenset[str]]:
    """Each mounted one with its controllers, of version 1 and 2 alike."""
    found = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup":
            found[Path(where)] = frozenset(options.split(","))
        elif kind == "cgroup2":
            listed = Path(where, "cgroup.controllers")
            found[Path(where)] = frozenset(listed.read_text().split() if listed.exists() else ())
    return found


def missing_controllers() -> list[str]:
    """Those that a kubelet cannot do without."""
    present = frozenset[str]().union(*hierarchies().values())
    return [name for name in NEEDED if name not in present]


def remove(name: str) -> list[Path]:
    """Removes a cgroup and those below it, once their processes have ended; returns what is left
    after ten seconds."""
    left = [top / name for top in hierarchies()]
    deadline = time.monotonic() + EMPTY_WITHIN_S
    while left := [path for path in left if not _removed(path)]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.02)
    return []


def _removed(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:  # it still holds a process
            continue
    return not top.exists()


if __name__ == "__main__":
    remove(sys.argv[1])
