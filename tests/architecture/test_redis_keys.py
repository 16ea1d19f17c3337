"""The reference page of what is in Redis beside the code that writes it."""

from __future__ import annotations

import re

from bot.store.access import user_rules
from tests.architecture.sources import TOP
from tests.reference_pages import DOCS

PAGE = DOCS / "reference" / "redis.md"
STORE = TOP / "bot" / "store"
_IN_SCRIPTS = re.compile(r"\bkey\('([a-z_-]+)")
_IN_PYTHON = re.compile(r"""(?:_key\(f?"|_prefix \+ "|\{PREFIX\})([a-z_-]+)""")


def documented_keys() -> set[str]:
    """Kinds of keys: what stands before the first colon, and `rq:` and one part more."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    return {kind_of(key) for row in rows for key in re.findall(r"`([^`]+)`", row.split("|")[1])}


def kind_of(key: str) -> str:
    parts = key.split(":")
    return ":".join(parts[:2]) if parts[0] == "rq" else parts[0]


def written() -> set[str]:
    scripts = "\n".join(path.read_text("utf-8") for path in STORE.rglob("*.lua"))
    code = "\n".join(path.read_text("utf-8") for path in STORE.glob("*.py"))
    rules = [rule[1:] for rule in user_rules("worker") if rule.startswith("~rq:")]
    return {*_IN_SCRIPTS.findall(scripts), *_IN_PYTHON.findall(code), *map(kind_of, rules)}


def test_the_page_names_every_key_that_is_written_and_no_other() -> None:
    assert documented_keys() == written()


def test_every_key_has_a_bound() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    assert rows and all(len(row.split("|")) == 5 and row.split("|")[3].strip() for row in rows)
