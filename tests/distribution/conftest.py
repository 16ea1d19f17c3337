"""The wheel and the sdist of this checkout, built once, and environments to install them into.
Nothing is fetched: what they need is what this environment has."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.architecture.sources import TOP

BIN = Path(sys.executable).parent
UV = BIN / "uv"


def run(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Where it fails, so does the test, with what was printed."""
    done = attempt(*words, **variables)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done


def attempt(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = {**inherited, "UV_OFFLINE": "1", **variables}
    return subprocess.run(
        words, check=False, capture_output=True, text=True, env=environment, cwd="/", timeout=120
    )


@dataclass(frozen=True)
class Built:
    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    build(TOP, folder, "--wheel", "--sdist")
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)


def build(source: Path, folder: Path, *kinds: str) -> None:
    words = ("--no-build-isolation", f"--python={sys.executable}", f"--out-dir={folder}")
    run(UV, "build", *kinds, *words, source)


def write_wheel(folder: Path, name: str, version: str, files: Mapping[str, bytes]) -> Path:
    """A wheel of any Python with these files; `*.dist-info/METADATA` may be among them."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    plain = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    tags = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content = {f"{info}/METADATA": plain, **files, f"{info}/WHEEL": tags}
    rows = [f"{path},{_digest(data)},{len(data)}" for path, data in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"{info.removesuffix('.dist-info')}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, data in content.items():
            archive.writestr(inner, data)
    return path


def _digest(data: bytes) -> str:
    text = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    return f"sha256={text.rstrip('=')}"


def rewritten_wheel(one: Distribution, folder: Path) -> Path:
    """The wheel that this distribution was installed from, but for its scripts."""
    info = f"{one.metadata['Name'].lower().replace('-', '_').replace('.', '_')}-{one.version}"
    files: dict[str, bytes] = {}
    for file in one.files or ():
        located = Path(str(file.locate()))
        if ".." in file.parts or "__pycache__" in file.parts or not located.is_file():
            continue
        is_info = file.parts[0].endswith(".dist-info")
        if is_info and file.name in ("RECORD", "WHEEL", "INSTALLER", "REQUESTED"):
            continue
        inner = Path(f"{info}.dist-info", *file.parts[1:]) if is_info else Path(*file.parts)
        files[str(inner)] = located.read_bytes()
    return write_wheel(folder, info.rpartition("-")[0], one.version, files)


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of each distribution in the lock of the image."""
    folder = tmp_path_factory.mktemp("wheels")
    for one in locked("runtime"):
        rewritten_wheel(distribution(one.name), folder)
    return folder


def locked(name: str) -> list[Requirement]:
    """Of a lock, what this Python on this machine takes."""
    lines = (TOP / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pinned = [
        Requirement(line.rstrip("\\ ")) for line in lines if re.match(r"[\w.-]+(\[.*\])?==", line)
    ]
    return [one for one in pinned if one.marker is None or one.marker.evaluate()]
