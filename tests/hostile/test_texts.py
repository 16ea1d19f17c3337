"""Log lines, evidence, commands, catalogs and manifests of any content: bounded work, bounded
memory, and no failure but the reader's own."""

from __future__ import annotations

import json
import logging
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.cluster.manifests import FileManifests
from bot.cluster.reading import told
from bot.commands.normalise import without_mention
from bot.commands.parse import parse
from bot.commands.table import KnownNames
from bot.policy.concealment import concealed_pair
from bot.policy.evidence import MAX_LENGTH, MAX_LINES, redact_lines
from bot.ports import Refused
from config.catalog import CatalogMistakes, parse_catalog
from config.durations import parse_duration
from config.logs import JsonLines, TextLines, without_secrets
from config.redaction import redact
from tests.hostile.inputs import PIECES, growth, hostile_texts

MEASURED = tuple(piece for piece in PIECES if piece.isprintable())[:28]
MOST_GROWTH = 24.0  # times the work for sixteen times the input
MOST_MEMORY = 64 * 1024 * 1024
KNOWN = KnownNames(("hello", "shop"), ("hello",), ("prod", "staging"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def as_manifest(folder: Path) -> Callable[[str], object]:
    def read(text: str) -> object:
        (folder / "m.yaml").write_text(text, encoding="utf-8", errors="replace")
        try:
            return FileManifests().load(str(folder), ("m.yaml",), {})
        except Refused as refused:
            return refused

    return read


def as_catalog(text: str) -> object:
    try:
        return parse_catalog(text)
    except CatalogMistakes as mistakes:
        return mistakes


def as_log_line(text: str) -> str:
    record = logging.LogRecord("bolt", logging.WARNING, __file__, 1, "%s", (text,), None)
    return TextLines("%(asctime)s %(levelname)s %(message)s").format(record)


def as_evidence(text: str) -> tuple[str, ...]:
    return redact_lines([text] * 3)


def as_change(text: str) -> object:
    return concealed_pair({"data": {"a": text}}, {"data": {"a": text + "x"}})


READERS: dict[str, tuple[Callable[[str], object], int]] = {
    "log line": (as_log_line, 131_072),
    "evidence": (as_evidence, 16_384),
    "redaction": (redact, 16_384),
    "message of a kubelet": (told, 16_384),
    "command": (lambda text: parse(text, KNOWN), 4_000),
    "mention": (lambda text: without_mention(text, "U1"), 40_000),
    "change of a ConfigMap": (as_change, 16_384),
}
"""Kind -> its reader and the size up to which it is measured: what the bot takes, or more."""


def reader(kind: str, folder: Path) -> Callable[[str], object]:
    readers = {name: read for name, (read, _) in READERS.items()}
    return {**readers, "manifest": as_manifest(folder), "catalog": as_catalog}[kind]


YAML_SIZE = 8_192


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_work_grows_no_faster_than_the_text(kind: str) -> None:
    read, most = READERS[kind]
    grown = {piece: growth(read, piece, most=most, tries=1) for piece in MEASURED}
    worst = [piece for piece, times in grown.items() if times > MOST_GROWTH]
    # a busy machine disturbs a measurement, a wrong pattern every one
    again = {piece: growth(read, piece, most=most, tries=15) for piece in worst}
    assert {piece: times for piece, times in again.items() if times > MOST_GROWTH} == {}


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["- ", "a: 1\n", "[", "- a\n", "? ", '"', "a", "&a ", "{a: 1}\n"])
@pytest.mark.parametrize("kind", ["manifest", "catalog"])
def test_yaml_takes_work_no_faster_than_its_size(kind: str, piece: str, folder: Path) -> None:
    read = as_manifest(folder) if kind == "manifest" else as_catalog
    times = growth(read, piece, most=YAML_SIZE, tries=1)
    if times > MOST_GROWTH:
        times = growth(read, piece, most=YAML_SIZE, tries=5)
    assert times <= MOST_GROWTH


@pytest.mark.parametrize("kind", [*READERS, "manifest", "catalog"])
def test_any_text_is_read_or_refused(kind: str, folder: Path) -> None:
    read = reader(kind, folder)
    for text in hostile_texts(kind):
        read(text)


@pytest.mark.parametrize("kind", [*READERS, "manifest", "catalog"])
def test_no_text_takes_much_memory(kind: str, folder: Path) -> None:
    read = reader(kind, folder)
    tracemalloc.start()
    try:
        for text in hostile_texts(f"{kind}, measured", count=10):
            read(text)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def test_nothing_in_a_log_passes_for_a_line_of_its_own() -> None:
    for text in hostile_texts("forged"):
        line = as_log_line(text + "\n2026-01-01 00:00:00 INFO all is well")
        assert line.isprintable()


def test_a_trace_cannot_forge_a_line() -> None:
    try:
        raise ValueError("no\n2026-01-01 00:00:00 INFO forged token=hunter2\x1b[2J")
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
    record = logging.LogRecord("bot", logging.ERROR, __file__, 1, "it failed", (), trace)
    first, *rest = TextLines("%(message)s").format(record).split("\n")
    assert first == "it failed"
    assert all(line.startswith("  | ") and line.isprintable() for line in rest)
    assert "hunter2" not in "".join(rest)
    assert "\x1b" not in json.loads(JsonLines().format(record))["exception"]


@pytest.mark.parametrize("size", [80_000, 200_000])
def test_the_body_of_an_unsigned_request_is_logged_at_once(size: int) -> None:
    assert len(without_secrets("a." * (size // 2))) <= 8_200


def test_one_unbroken_line_is_evidence_like_any_other() -> None:
    (shown,) = redact_lines(["x" * 16_000])
    assert 0 < len(shown) <= MAX_LENGTH


def test_evidence_stays_ten_short_printable_lines() -> None:
    for text in hostile_texts("lines"):
        shown = redact_lines(text.split("\n") * 5)
        assert len(shown) <= MAX_LINES
        assert all(len(line) <= MAX_LENGTH and line.isprintable() for line in shown)


PAIRS = tuple(zip("abcdefghi", "bcdefghij", strict=True))
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in PAIRS
)
MERGES = "a: &a {x1: 1, x2: 2}\n" + "".join(
    f"{new}: &{new}\n  <<: [{', '.join([f'*{old}'] * 9)}]\n" for old, new in PAIRS
)


@pytest.mark.parametrize("text", [BOMB, MERGES], ids=["aliases", "merges"])
def test_ten_lines_of_aliases_are_refused_unexpanded(text: str, folder: Path) -> None:
    refused = as_manifest(folder)(text)
    assert isinstance(refused, Refused) and "becomes more than 50,000 values" in str(refused)
    mistakes = as_catalog(text)
    assert isinstance(mistakes, CatalogMistakes)
    assert "becomes more than 100,000 values" in str(mistakes)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5_000,
        "- " * 5_000,
        "a: &a [*a]",
        "a: 1e99999999",
        "a: " + "1:" * 500_00 + "1",
        "9" * 9_000,
        "!!int # nothing",
        "a: !!float []",
    ],
    ids=["deep", "lists", "itself", "exponent", "sexagesimal", "digits", "no number", "no scalar"],
)
def test_a_file_that_is_no_manifest_is_refused(text: str, folder: Path) -> None:
    assert isinstance(as_manifest(folder)(text), Refused)
    assert isinstance(as_catalog(text), CatalogMistakes)


@pytest.mark.parametrize("text", ["9" * 400 + "d", "9" * 39 + "d", "1" * 5_000, "36501d"])
def test_a_duration_beyond_a_century_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)
