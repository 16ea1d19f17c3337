"""`pilothouse sbom`: the software bill of materials in CycloneDX' JSON: of the environment that
Pilothouse is installed in, of the machine around it too, or of a lock. The same parts give the same
text.

Sources: CycloneDX 1.6; the purl specification's types `pypi` and `deb`.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

NAME = "pilothouse"
LICENSE = "Apache-2.0"
_LONGEST_LICENSE = 60
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"^    #(?: via|  ) +([A-Za-z0-9._-]+)(?: \(.*\))?$")


@dataclass
class Part:
    """A component. ``needs``: the names of those that it needs, if they are parts too."""

    name: str
    version: str
    purl: str
    kind: str = "library"
    license: str = ""
    hashes: tuple[str, ...] = ()
    needs: set[str] = field(default_factory=set)

    def component(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": self.kind,
            "bom-ref": self.purl,
            "name": self.name,
            "version": self.version,
            "purl": self.purl,
        }
        if self.license:
            found["licenses"] = [{"license": {"name": self.license}}]
        if self.hashes:  # of each file of that version: one of them is installed
            found["hashes"] = [{"alg": "SHA-256", "content": one} for one in self.hashes]
        return found


def of_environment() -> list[Part]:
    """Pilothouse first, then what it needs, as it is installed here, and this Python."""
    found: dict[str, Part] = {}
    waiting = [NAME]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            part = _installed(distribution(name))
        except PackageNotFoundError:
            continue  # for another platform, or an extra that was not asked for
        found[name] = part
        waiting += sorted(part.needs)
    version = platform.python_version()
    python = Part("python", version, f"pkg:generic/python@{version}", "platform")
    first, *rest = found.values()
    return [first, *sorted(rest, key=lambda part: part.name), python]


def _installed(one: Distribution) -> Part:
    needs = {
        _normal(re.split(r"[^A-Za-z0-9._-]", asked, maxsplit=1)[0])
        for asked in one.requires or ()
        if "extra ==" not in asked
    }
    name = _normal(str(one.metadata["Name"]))
    return Part(name, one.version, _pypi(name, one.version), license=_license(one), needs=needs)


def _license(one: Distribution) -> str:
    named = [one.metadata[key] or "" for key in ("License-Expression", "License")]
    named += [
        line.rpartition(" :: ")[2]
        for line in one.metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and line.count(" :: ") > 1
    ]
    short = (text for text in named if text and "\n" not in text and len(text) < _LONGEST_LICENSE)
    return next(short, "")


def of_lock(text: str) -> list[Part]:
    """Pilothouse first; of each other part the hashes of all its files, and by the lock's comments
    what needs it."""
    parts: dict[str, Part] = {}
    needed_by: dict[str, set[str]] = {}
    name = ""
    for line in text.splitlines():
        if pinned := _PINNED.match(line):
            name = _normal(pinned[1])
            parts[name] = Part(name, pinned[2], _pypi(name, pinned[2]))
        elif name and (digest := _HASH.search(line)):
            parts[name].hashes += (digest[1],)
        elif name and (via := _VIA.match(line)):
            needed_by.setdefault(name, set()).add(_normal(via[1]))
    first = _installed(distribution(NAME))
    first.needs = {name for name, needing in needed_by.items() if NAME in needing}
    for name, needing in needed_by.items():
        for one in needing & parts.keys():
            parts[one].needs.add(name)
    return [first, *sorted(parts.values(), key=lambda part: part.name)]


def of_system(root: Path) -> list[Part]:
    """The packages of a Debian below ``root``; none where it is something else."""
    status, release = root / "var/lib/dpkg/status", root / "etc/os-release"
    if not status.exists():
        return []
    names = dict(line.split("=", 1) for line in release.read_text().splitlines() if "=" in line)
    system, version = (names.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))
    parts = []
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        keys = dict(
            re.findall(r"^(Package|Version|Architecture|Status): (.+)$", paragraph, re.MULTILINE)
        )
        if keys.get("Status", "").endswith(" installed"):
            name, at = keys["Package"], quote(keys["Version"], safe=".~")
            where = f"arch={keys['Architecture']}&distro={system}-{version}"
            parts.append(Part(name, keys["Version"], f"pkg:deb/{system}/{name}@{at}?{where}"))
    return sorted(parts, key=lambda part: part.name)


def document(parts: Sequence[Part]) -> dict[str, Any]:
    first, *rest = parts
    main = {**first.component(), "type": "application", "licenses": [{"license": {"id": LICENSE}}]}
    body = {
        "metadata": {"component": main},
        "components": [part.component() for part in rest],
        "dependencies": list(_dependencies(parts)),
    }
    serial = uuid5(NAMESPACE_URL, json.dumps(body, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    return {**head, "serialNumber": f"urn:uuid:{serial}", **body}


def _dependencies(parts: Iterable[Part]) -> Iterator[dict[str, Any]]:
    known = {part.name: part.purl for part in parts if part.purl.startswith("pkg:pypi/")}
    for part in parts:
        needs = sorted(known[name] for name in part.needs if name in known)
        yield {"ref": part.purl, **({"dependsOn": needs} if needs else {})}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pypi(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{quote(version, safe='.')}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="pilothouse sbom",
        description="Print the software bill of materials (CycloneDX, JSON) of what is installed.",
    )
    parser.add_argument("--system", action="store_true", help="with the packages of this Debian")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="of a lock instead, with hashes")
    chosen = parser.parse_args(arguments)
    try:
        text = chosen.lock.read_text(encoding="utf-8") if chosen.lock else ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        print(f"pilothouse sbom: {chosen.lock} cannot be read: {why}", file=sys.stderr)
        return 2
    parts = of_lock(text) if chosen.lock else of_environment()
    parts += of_system(Path("/")) if chosen.system else []
    print(json.dumps(document(parts), indent=2, ensure_ascii=False))
    return 0
