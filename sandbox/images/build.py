"""Builds the images with buildah into a cache outside the checkout, and writes them out as one OCI
layout. What did not change is taken from buildah's own layers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sandbox.go_build import cache_folder

CHECKOUT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
# The release of Debian whose Python is the default of the Dockerfile.
SUITE, BASE_PYTHON = "trixie", "3.13"
BASE = f"pilothouse-base:{SUITE}"
REDIS = "debian-redis:8"
PROGRAMS = ("buildah", "debootstrap")
# The machine's authorities: a mirror of a registry may have a certificate of its own.
AUTHORITIES = Path("/etc/ssl/certs")


class ImagesMissing(Exception):
    """The images are not built, or cannot be built here; the message says what to do."""


def version() -> str:
    found = re.search(r'^version = "(.*)"', (CHECKOUT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def revision() -> str:
    """Of the checkout, with a mark where files differ from it; "" outside of a repository."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
        cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return asked.stdout.strip()


class Images:
    """`pilothouse:VERSION` of the checkout's Dockerfile, and a Redis of Debian's."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "images"

    @property
    def layout(self) -> Path:
        """The OCI layout that holds them all."""
        return self._folder / "layout"

    @property
    def pilothouse(self) -> str:
        return f"pilothouse:{version()}"

    def built(self) -> Path:
        """The layout. Raises ImagesMissing until it is built."""
        if not (self.layout / "index.json").exists():
            raise ImagesMissing("The images are not built yet: run `make local-images`.")
        return self.layout

    def build(self) -> Path:
        """Raises ImagesMissing where this machine cannot build them."""
        if os.geteuid() != 0:
            raise ImagesMissing("Building a base needs root.")
        if lacking := [name for name in PROGRAMS if shutil.which(name) is None]:
            names = " ".join(lacking)
            raise ImagesMissing(f"{names} missing (Debian: apt install {names}).")
        self._folder.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(self._folder / "lock"):
            self._build_base()
            self._build_image(REDIS, FOLDER, FOLDER / "redis.Dockerfile")
            self._build_image(
                self.pilothouse, CHECKOUT, CHECKOUT / "Dockerfile",
                f"--build-arg=PYTHON_VERSION={BASE_PYTHON}", f"--build-arg=VERSION={version()}",
                f"--build-arg=REVISION={revision()}",
            )  # fmt: skip
            self._write_layout((self.pilothouse, REDIS))
        return self.layout

    def _build_base(self) -> None:
        """A Debian with its Python and nothing else that matters, by debootstrap."""
        recipe = hashlib.sha256((FOLDER / "base.sh").read_bytes()).hexdigest()[:16]
        made = self._folder / f"base-{recipe}.tar"
        if not made.exists():
            unfinished = made.with_suffix(".unfinished")
            _run([FOLDER / "base.sh", SUITE, unfinished])
            unfinished.rename(made)
            for older in self._folder.glob("base-*.tar"):
                if older != made:
                    older.unlink()
        if recipe in self._buildah("images", "--format={{.Tag}}", quiet=True).split():
            return
        container = self._buildah("from", "scratch", quiet=True).strip()
        self._buildah("add", "--quiet", container, str(made))
        for name in (BASE, f"pilothouse-base:{recipe}"):
            self._buildah("commit", "--quiet", container, name)
        self._buildah("rm", container)

    def _build_image(self, name: str, context: Path, dockerfile: Path, *more: str) -> None:
        self._buildah(
            "build", "--layers", "--pull=never", "--isolation=chroot", "--network=host",
            "--format=oci", f"--build-arg=BASE=localhost/{BASE}", *more,
            f"--volume={AUTHORITIES}:{AUTHORITIES}:ro", f"--file={dockerfile}", f"--tag={name}",
            str(context),
        )  # fmt: skip

    def _write_layout(self, names: Sequence[str]) -> None:
        unfinished = self.layout.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for name in names:
            self._buildah("push", "--quiet", f"localhost/{name}", f"oci:{unfinished}:{name}")
        shutil.rmtree(self.layout, ignore_errors=True)
        unfinished.rename(self.layout)

    def _buildah(self, *arguments: str, quiet: bool = False) -> str:
        storage = self._folder / "storage"
        return _run(
            ["buildah", f"--root={storage}", f"--runroot={storage}-run", *arguments], quiet=quiet
        )


def _run(command: Sequence[str | Path], *, quiet: bool = False) -> str:
    done = subprocess.run(
        command, check=False, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if not quiet else subprocess.PIPE,
    )  # fmt: skip
    if done.returncode != 0:
        said = "\n".join((done.stdout + (done.stderr or "")).splitlines()[-20:])
        raise ImagesMissing(f"{' '.join(map(str, command))} failed:\n{said}")
    return done.stdout


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
