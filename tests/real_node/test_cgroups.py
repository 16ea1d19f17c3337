"""Cgroups of both versions. A machine that has both shows version 2 by itself in a mount namespace
where it is the only one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sandbox.real_node import RealNodes
from sandbox.real_node.launcher import INSIDE

pytestmark = pytest.mark.real_node

CGROUP = "pilothouse-of-a-test"
ONLY_VERSION_2 = f"""
set -euo pipefail
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
before=$(cat /sys/fs/cgroup/cgroup.subtree_control)
{INSIDE}/apart.sh {CGROUP} bash $0/inner.sh again
find /sys/fs/cgroup/{CGROUP} -depth -type d -exec rmdir {{}} +
for one in $(cat /sys/fs/cgroup/cgroup.subtree_control); do
  case " $before " in *" $one "*) ;; *) echo "-$one" >/sys/fs/cgroup/cgroup.subtree_control ;; esac
done
"""
INNER = f"""
set -euo pipefail
. {INSIDE}/cgroups.sh
mount -t proc proc /proc
cgroup_own_view
cut -d: -f3 /proc/self/cgroup | tail -n 1
test ! -s /sys/fs/cgroup/cgroup.procs
diff /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/cgroup.subtree_control
if [ "${{1:-}}" = again ]; then {INSIDE}/apart.sh node-1 bash "$0"; fi
"""


def test_version_2_gives_cluster_and_node_a_root_of_their_own(
    real_nodes: RealNodes, tmp_path: Path
) -> None:
    """With every controller for the children of each, and no process beside them."""
    (tmp_path / "inner.sh").write_text(INNER)
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", ONLY_VERSION_2, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stderr, done.stdout.split()) == ("", ["/init", "/init"])
