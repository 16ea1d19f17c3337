from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sandbox.control_plane import BinariesMissing, binaries, built_binaries
from sandbox.go_build import find_go


def test_the_cache_is_named_after_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = binaries.BUILD.folder()
    assert folder.is_relative_to(tmp_path)
    assert len(folder.parent.name) == 16
    assert folder == binaries.BUILD.folder()


def test_a_missing_build_is_reported_with_the_command_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BinariesMissing, match="make control-plane"):
        built_binaries()


def test_a_build_without_every_binary_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = binaries.BUILD.folder()
    folder.mkdir(parents=True)
    for name in binaries.BUILD.programs:
        (folder / name).touch()
    assert built_binaries() == folder
    (folder / "kwok").unlink()
    with pytest.raises(BinariesMissing):
        built_binaries()


def test_every_go_tool_of_the_module_is_a_binary_we_expect() -> None:
    text = (binaries.MODULE / "go.mod").read_text()
    block = text[text.index("\ntool (") :].split(")")[0]
    tools = {
        next(part for part in reversed(line.split("/")) if part != "v3")
        for line in block.splitlines()
        if "/" in line
    }
    assert tools == set(binaries.BUILD.programs)


def test_go_mod_pins_the_version() -> None:
    major, minor, patch = binaries.kubernetes_version().split(".")
    assert major == "1"
    assert minor.isdigit()
    assert patch.isdigit()


def test_without_go_and_the_lock_the_error_names_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(shutil.which('sh') or '/bin/sh').parent}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BinariesMissing, match=r"Go 1\.26\.0 or newer"):
        find_go(binaries.MODULE, elsewhere=(), lock=tmp_path / "absent")
