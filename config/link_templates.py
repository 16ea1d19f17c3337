"""Links of an app: templates of the catalog, filled in with what a release is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

PLACEHOLDERS = ("app", "cluster", "namespace", "deployment", "from", "to", "version", "release")
MOST_CHARACTERS = 1_000
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_HOST = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(?=[/?#]|\Z)")
_UNSAFE = re.compile(r"[\s<>|\"'`\\]")


def checked(template: str) -> str:
    """Raises ValueError, in words for the catalog's author."""
    unknown = [one for one in _PLACEHOLDER.findall(template) if one not in PLACEHOLDERS]
    if unknown:
        known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
        raise ValueError(f"unknown placeholder `{{{unknown[0]}}}`: use {known}")
    if not _HOST.match(template):
        raise ValueError(
            f"`{template}` is not a link: it begins with http:// or https:// and a host without"
            " placeholders"
        )
    rest = _PLACEHOLDER.sub("", template)
    if _UNSAFE.search(rest) or "{" in rest or "}" in rest or len(template) > MOST_CHARACTERS:
        raise ValueError(
            f"`{template[:80]}` holds characters that a link does not: encode them as %20"
        )
    return template


def filled(template: str, values: Mapping[str, str]) -> str:
    """The values are encoded. "" where one of them is not known.

    >>> filled("https://git.example.com/compare/{from}...{to}", {"from": "1", "to": "x/y z"})
    'https://git.example.com/compare/1...x%2Fy%20z'
    >>> filled("https://git.example.com/{from}", {"from": ""})
    ''
    """
    if not all(values.get(one) for one in _PLACEHOLDER.findall(template)):
        return ""
    return _PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=""), template)
