"""`pilothouse audit verify|show|export|erase`: who did what, and whether what Redis says of it is
what was written. Only `erase` changes something, and says so in the audit."""

from __future__ import annotations

import argparse
import csv
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TextIO, TypeVar

import orjson

from bot.ports import AuditHead, AuditLine, StoreUnavailable
from bot.releases.facts.ages import moment
from bot.runtime import new_id
from bot.slack.markup import for_terminal
from bot.store import RedisReleaseStore, connect
from bot.store.audit import Audit
from bot.store.audit_chain import Entry, heads_in
from bot.store.audit_verify import Verdict, verify
from config.durations import parse_duration
from config.settings import SettingsMistakes, read_settings

CHUNK = 1_000
COLUMNS = (
    "number",
    "time",
    "kind",
    "team",
    "by",
    "name",
    "roles",
    "rule",
    "path",
    "channel",
    "app",
    "release_id",
    "request_id",
    "text",
    "plan",
    "before",
    "after",
    "result",
    "count",
    "catalog",
    "version",
    "sealed",
    "erased",
    "sha256",
)
_USER = re.compile(r"[UW][A-Z0-9]{1,20}")
_RELEASE = re.compile(r"[^\s]{1,80}-\d{1,15}", re.ASCII)
_Item = TypeVar("_Item")


class Mistake(Exception):
    """Of the command line: one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 when Redis is unavailable, or `verify` found something; 2 for mistakes."""
    given = _parser().parse_args(argv)
    try:
        settings = read_settings(os.environ, "terminal")
    except SettingsMistakes as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    store = RedisReleaseStore(connect(settings.redis_url))
    try:
        run: Callable[[Audit, argparse.Namespace], int] = given.run
        return run(store.trail, given)
    except Mistake as mistake:
        print(f"pilothouse audit {given.what}: {mistake}", file=sys.stderr)
        return 2
    except StoreUnavailable as away:
        print(away, file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pilothouse audit", description="Who did what, and is it as it was written?"
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="verify|show|export|erase")
    one = what.add_parser("verify", help="find what was changed, removed, reordered or cut")
    one.add_argument(
        "--witness",
        metavar="FILE",
        help="any text with heads in it: an export of Slack, copied messages, a log (-: stdin)",
    )
    one.set_defaults(run=_verify)
    one = what.add_parser("show", help="everything about one release")
    one.add_argument("release", help="the release, such as hello-42")
    one.set_defaults(run=_show)
    one = what.add_parser("export", help="all entries, oldest first")
    one.add_argument("--since", default="", help="a day, a time in UTC, or an age: 2026-11-01, 7d")
    one.add_argument("--format", choices=("jsonl", "csv"), default="jsonl")
    one.set_defaults(run=_export)
    one = what.add_parser("erase", help="erase names, commands and reasons; ids and hashes stay")
    one.add_argument("--user", default="", help="of this person: a member ID, such as U0ANN")
    one.add_argument("--before", default="", help="older than a day, a time in UTC, or an age")
    one.set_defaults(run=_erase)
    return parser


# --- verify ---------------------------------------------------------------------------------------


def _verify(audit: Audit, given: argparse.Namespace) -> int:
    witness = _witness(given.witness) if given.witness else ()
    found = find(audit, witness)
    for line in found.findings:
        print(line)
    for line in found.notes:
        print(line)
    if found.findings:
        print(f"NOT as it was written: {len(found.findings)} found")
        return 1
    print("as it was written, as far as it is witnessed" if witness else "consistent in itself")
    return 0


def find(audit: Audit, witness: Sequence[AuditHead]) -> Verdict:
    while True:
        state = audit.state()
        found = verify(audit.with_their_words(), state, witness)
        if audit.state().checkpoint == state.checkpoint:  # else it was trimmed meanwhile
            return found


def _witness(name: str) -> tuple[AuditHead, ...]:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Mistake(f"{name} cannot be read: {error.strerror}") from error
    heads = tuple(dict.fromkeys(heads_in(data.decode("utf-8", "replace"))))
    if not heads:
        raise Mistake(f"{name} holds no head: a line such as `audit 1234 sha256:…`")
    return heads


def _chunks(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while some := list(islice(rest, CHUNK)):
        yield some


# --- show and export ------------------------------------------------------------------------------


def _show(audit: Audit, given: argparse.Namespace) -> int:
    if not _RELEASE.fullmatch(given.release):
        raise Mistake(f"`{for_terminal(given.release)[:80]}` is not a release, such as hello-42")
    wanted = given.release.encode()
    sealed = audit.state().sealed.number
    found = [entry for entry in audit.entries() if _is_about(entry, wanted)]
    if not found:
        raise Mistake(f"the audit has nothing about {given.release}")
    for some in _chunks(found):
        for line in audit.with_words(some):
            print(_in_words(line, sealed))
    return 0


def _is_about(entry: Entry, release: bytes) -> bool:
    return entry.release_id == release or b'"release_id":"%b"' % release in entry.line


def _in_words(line: AuditLine, sealed: int) -> str:
    who = f"{line.by} {line.name}".strip() or "Pilothouse"
    how = " ".join(
        filter(None, (line.roles and f"({line.roles})", line.path and f"by {line.path}"))
    )
    what = [line.kind, line.rule and f"rule {line.rule}", line.result]
    parts = [
        str(line.number),
        moment(line.at),
        f"{who} {how}".strip(),
        " ".join(filter(None, what)) + (f" ×{line.count}" if line.count > 1 else ""),
        "(erased)" if line.is_erased else line.text,
        "" if line.number <= sealed else "(not sealed yet)",
    ]
    return "  ".join(for_terminal(part) for part in parts if part)


def _export(audit: Audit, given: argparse.Namespace) -> int:
    since = _moment(given.since, audit.now()) if given.since else 0
    rows = _rows(audit, since)
    (_write_csv if given.format == "csv" else _write_jsonl)(rows, sys.stdout)
    return 0


def _rows(audit: Audit, since: int) -> Iterator[dict[str, Any]]:
    """``since``: by Redis' time of writing."""
    sealed = audit.state().sealed.number
    for some in _chunks(audit.entries(f"{max(0, since - 1)}-{2**63}" if since else "-")):
        for entry, line in zip(some, audit.with_words(some), strict=True):
            row = asdict(line)
            row |= {"time": moment(line.at), "sealed": 0 < line.number <= sealed}
            row |= {"erased": line.is_erased, "sha256": entry.sha.decode(errors="replace")}
            yield {name: row[name] for name in COLUMNS}


def _write_jsonl(rows: Iterable[dict[str, Any]], to: TextIO) -> None:
    to.writelines(orjson.dumps(row).decode() + "\n" for row in rows)


def _write_csv(rows: Iterable[dict[str, Any]], to: TextIO) -> None:
    writer = csv.DictWriter(to, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula is quoted."""
    is_formula = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if is_formula else value


def _moment(text: str, now: int) -> int:
    """Milliseconds. Raises Mistake."""
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        shown = for_terminal(text)[:40]
        raise Mistake(f"`{shown}` is no time: write 2026-11-01, 2026-11-01T08:00 or 7d") from error
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


# --- erase ----------------------------------------------------------------------------------------


def _erase(audit: Audit, given: argparse.Namespace) -> int:
    if not given.user and not given.before:
        raise Mistake("say whose with --user, or how old with --before")
    if given.user and not _USER.fullmatch(given.user):
        raise Mistake(f"`{for_terminal(given.user)[:40]}` is no member ID, such as U0ANN")
    before = _moment(given.before, audit.now()) if given.before else 0
    found = [
        entry
        for entry, words in audit.with_their_words()
        if words is not None and _is_meant(entry, given.user, before)
    ]
    if found:
        whose = given.user or "everyone"
        until = f" before {moment(before)}" if before else ""
        audit.erase(found, given.user, f"{whose}{until}: {len(found)} entries", new_id())
    print(f"erased the words beside {len(found)} entries; their ids and hashes stay")
    return 0


def _is_meant(entry: Entry, user: str, before: int) -> bool:
    if user and f'"by":"{user}"'.encode() not in entry.line:
        return False
    return not before or int(entry.at.partition(b"-")[0]) < before
