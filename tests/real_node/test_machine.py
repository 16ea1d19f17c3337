"""A machine that cannot run a real node says which of its needs is not met."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.control_plane.binaries import BUILD as CONTROL_PLANE
from sandbox.go_build import GoBuild
from sandbox.real_node import MachineUnfit, cgroups, check_machine
from sandbox.real_node.binaries import KUBE, RUNTIME

BUILD = [sys.executable, "-m", "sandbox.real_node", "build"]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="it needs root")


@as_root
def test_a_missing_program_is_named_with_its_debian_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ip", "unshare", "nsenter", "mount", "awk", "sh"):
        (tmp_path / name).symlink_to(shutil.which(name) or "/bin/false")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineUnfit, match=r"^nft missing \(Debian: apt install nftables\)\.$"):
        check_machine()


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_a_machine_without_the_programs_is_skipped_loudly_but_fails_in_ci(
    tmp_path: Path, ci: str, code: int
) -> None:
    done = subprocess.run(
        [*BUILD, "--or-skip"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "CI": ci},
    )
    assert done.returncode == code
    assert "missing (Debian: apt install" in done.stderr or "it needs root" in done.stderr
    assert done.stderr.startswith("SKIPPED: a real node cannot run here: ") == (ci != "true")


def test_kubelet_and_control_plane_are_of_one_version_and_share_what_is_compiled() -> None:
    """A module in another version would make Go compile all of Kubernetes once more."""
    ours, theirs = _requirements(KUBE), _requirements(CONTROL_PLANE)
    assert ours["k8s.io/kubernetes"] == theirs["k8s.io/kubernetes"]
    assert {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]} == set()


def _requirements(build: GoBuild) -> dict[str, str]:
    text = (build.module / "go.mod").read_text()
    return dict(re.findall(r"^\s+(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE))


@pytest.mark.parametrize("build", [KUBE, RUNTIME], ids=lambda build: build.cache)
def test_every_go_tool_of_the_modules_is_a_program_we_expect(build: GoBuild) -> None:
    text = (build.module / "go.mod").read_text()
    block = text[text.index("\ntool (") :].split(")")[0]
    tools = {line.split("/")[-1].strip() for line in block.splitlines() if "/" in line}
    assert tools == set(build.programs)


def test_removing_cgroups_that_are_not_there_is_no_error() -> None:
    assert cgroups.remove("pilothouse-of-a-test-that-never-ran") == []
