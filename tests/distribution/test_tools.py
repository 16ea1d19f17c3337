"""The wheel installed as an application: `uv tool install`, and `pipx install`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from config.schema import catalog_schema
from tests.architecture.sources import TOP
from tests.distribution.conftest import BIN, UV, Built, run

pytestmark = pytest.mark.slow

EXAMPLE = TOP / "config" / "example" / "catalog.yaml"


def works(command: Path) -> None:
    """Nothing of this checkout is on its path: it stands on its own."""
    assert run(command, "--version").stdout.startswith("pilothouse ")
    assert "no mistakes" in run(command, "check", EXAMPLE).stdout
    assert '"$schema"' in run(command, "schema").stdout and catalog_schema()
    for name in ("bot", "worker", "watcher"):
        assert run(command, name, "--help").stdout.startswith(f"usage: pilothouse {name}")


def test_uv_installs_it_as_a_tool(built: Built, dependencies: Path, tmp_path: Path) -> None:
    only = ("--no-index", f"--find-links={dependencies}", f"--python={sys.executable}")
    places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    locked = f"--constraints={TOP / 'requirements' / 'runtime.txt'}"
    run(UV, "tool", "install", *only, locked, built.wheel, **places)
    works(tmp_path / "bin" / "pilothouse")


def test_pipx_installs_it(built: Built, dependencies: Path, tmp_path: Path) -> None:
    only = f"--no-index --find-links={dependencies}"
    places = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    words = ("install", f"--python={sys.executable}", f"--pip-args={only}")
    run(BIN / "pipx", *words, built.wheel, **places)
    works(tmp_path / "bin" / "pilothouse")
