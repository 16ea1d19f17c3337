"""Whether the packages that Pilothouse is about to import are its own, or those of another
distribution in the same environment. Imports nothing of them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from importlib.util import find_spec
from pathlib import Path

NAME = "pilothouse"
PACKAGES = ("bot", "config", "jobs")
ADVICE = (
    "Pilothouse is an application: install it with `uv tool install` or `pipx install`, which give"
    " it an environment of its own."
)
_PROVIDES = re.compile(r"^(bot|config|jobs)(?:/[^,\n]+)?\.pyi?,", re.MULTILINE)


@dataclass(frozen=True)
class Clash:
    """``who``: a distribution and its version, or the file that is found instead. ``is_ours``:
    Pilothouse's own files are there in spite of it."""

    package: str
    who: str
    is_ours: bool

    def __str__(self) -> str:
        if self.is_ours:
            trouble = f"warning: {self.who} provides the package `{self.package}` too"
            return f"{trouble}, and may break Pilothouse when it changes. {ADVICE}"
        return f"the package `{self.package}` here is that of {self.who}. {ADVICE}"


def find_clashes() -> tuple[Clash, ...]:
    """Sorted by package."""
    others = _providers()
    record = _record()
    clashes = []
    for package in PACKAGES:
        stray = _stray_file(package, record, every=package in others)
        if stray or package in others:
            clashes.append(Clash(package, others.get(package, stray), not stray))
    return tuple(clashes)


def _providers() -> dict[str, str]:
    """By package: the other distribution that provides it, with its version."""
    found: dict[str, str] = {}
    for one in distributions():
        provided = set(_provided(one))
        if provided and one.metadata["Name"] != NAME:
            found |= dict.fromkeys(provided, f"{one.metadata['Name']} {one.version}")
    return found


def _provided(one: Distribution) -> Iterator[str]:
    record = one.read_text("RECORD")
    if record is None:
        yield from {*(one.read_text("top_level.txt") or "").split()} & {*PACKAGES}
    elif any(f"\n{package}" in f"\n{record}" for package in PACKAGES):  # quicker than the pattern
        yield from _PROVIDES.findall(record)


def _record() -> dict[str, str]:
    """The digests of Pilothouse's files, as they were installed; {} in a checkout."""
    try:
        text = distribution(NAME).read_text("RECORD") or ""
    except PackageNotFoundError:
        return {}
    rows = (line.rsplit(",", 2) for line in text.splitlines() if _PROVIDES.match(line))
    return {row[0]: row[1] for row in rows if len(row) == 3}


def _stray_file(package: str, record: dict[str, str], *, every: bool) -> str:
    """The first file of the package that is not Pilothouse's, "" for none. ``every``: each of its
    files is compared, not its first alone."""
    folder = Path(__file__).resolve().parents[1]
    expected = folder / package / "__init__.py"
    spec = find_spec(package)
    found = Path(spec.origin).resolve() if spec is not None and spec.origin else None
    if found != expected:
        return str(found or expected)
    names = [name for name in record if name.startswith(f"{package}/")] if every else []
    for name in (f"{package}/__init__.py", *names):
        if name in record and _digest(folder / name) != record[name]:
            return str(folder / name)
    return ""


def _digest(file: Path) -> str:
    """As a RECORD has it (the binary distribution format)."""
    try:
        content = file.read_bytes()
    except OSError:
        return ""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return f"sha256={digest.decode().rstrip('=')}"
