"""What the wheel and the sdist hold: all that the product needs, and nothing else."""

from __future__ import annotations

import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.architecture.sources import tracked_files
from tests.distribution.conftest import Built, build, locked

pytestmark = pytest.mark.slow

PACKAGES = ("pilothouse", "bot", "config", "jobs", "sandbox")
NOT_SHIPPED = ("sandbox/slack/page/src", "sandbox/slack/page/node_modules")


def shipped() -> set[str]:
    """Files of the packages that git tracks, but for the sources of the local Slack's page."""
    return {
        str(path)
        for path in tracked_files()
        if path.parts[0] in PACKAGES and not str(path).startswith(NOT_SHIPPED)
    }


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_packages_whole_and_nothing_else(built: Built) -> None:
    names = {name for name in names_in(built.wheel) if ".dist-info/" not in name}
    assert names == shipped()


def test_the_wheel_says_what_it_is(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        (info,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
        entries = archive.read(f"{info}/entry_points.txt").decode()
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert (metadata["Name"], metadata["License-Expression"]) == ("pilothouse", "Apache-2.0")
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"] and str(metadata.get_payload()).startswith("# Pilothouse")
    assert "pilothouse = pilothouse.__main__:main" in entries


def test_the_sdist_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    top = {path.name for path in source.iterdir()}
    assert top == {
        *PACKAGES,
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "pyproject.toml",
        "PKG-INFO",
    } | (top & {".gitignore"})
    build(source, tmp_path, "--wheel")
    (wheel,) = tmp_path.glob("*.whl")
    assert names_in(wheel) == names_in(built.wheel)


def test_the_lock_of_the_image_is_all_that_the_wheel_asks_for(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith("/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    asked = map(Requirement, metadata.get_all("Requires-Dist") or ())
    wanted = {one.name for one in asked if "extra" not in str(one.marker)}
    assert wanted <= {one.name for one in locked("runtime")}
