"""The audit's numbers, its chain of heads, and what is found of each kind of tampering."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from redis import Redis

from bot.audit import find, main
from bot.ports import AuditHead, AuditLine
from bot.store import RedisReleaseStore, Retention
from bot.store.audit_chain import START, extend
from bot.store.audit_verify import Verdict
from bot.store.connection import PREFIX
from tests.builders import T0

AUDIT, WORDS, STATE = (f"{PREFIX}{name}" for name in ("audit", "audit-words", "audit-state"))
Stored = list[tuple[bytes, dict[bytes, bytes]]]


@pytest.fixture
def store(redis_client: Redis) -> RedisReleaseStore:
    return RedisReleaseStore(redis_client)


def write(store: RedisReleaseStore, *numbers: int, kind: str = "paused") -> None:
    for number in numbers:
        line = AuditLine(T0, "hello-42", "hello", kind, f"line {number}", "U1", name="Ann")
        store.write_audit(line, operation=f"w{number}")


def stored(client: Redis) -> Stored:
    return cast(Stored, client.xrange(AUDIT))


def verdict(store: RedisReleaseStore, *witness: AuditHead) -> Verdict:
    return find(store.trail, witness)


def rewrite(client: Redis, change: Callable[[Stored], Stored]) -> None:
    """As someone with Redis' password does it: the stream anew, each entry with its old time."""
    entries = change(stored(client))
    client.delete(AUDIT)
    for at, fields in entries:
        client.xadd(AUDIT, cast(Any, fields), id=at)


def seal_again(store: RedisReleaseStore, client: Redis) -> None:
    """The chain over what is there now, as Pilothouse itself computes it."""
    client.delete(WORDS)
    client.hdel(STATE, "sealed", "head", "sealed_at")
    RedisReleaseStore(client).seal_audit()


def altered(fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
    line = fields[b"line"].replace(b'"kind":"', b'"kind":"not ')
    number, _, rest = fields[b"about"].split(b" ", 2)
    about = b" ".join((number, hashlib.sha256(line).hexdigest().encode(), rest))
    return {b"about": about, b"line": line}


def forged(entry: tuple[bytes, dict[bytes, bytes]]) -> tuple[bytes, dict[bytes, bytes]]:
    at, fields = entry
    return at, fields | {b"line": fields[b"line"].replace(b"U1", b"U2")}


def renumbered(entries: Stored) -> Stored:
    rows = enumerate(entries, start=1)
    return [(at, _numbered(fields, number)) for number, (at, fields) in rows]


def _numbered(fields: dict[bytes, bytes], number: int) -> dict[bytes, bytes]:
    return fields | {b"about": b"%d %b" % (number, fields[b"about"].split(b" ", 1)[1])}


def without(index: int) -> Callable[[Stored], Stored]:
    return lambda entries: entries[:index] + entries[index + 1 :]


def swapped(entries: Stored) -> Stored:
    contents = [fields for _, fields in entries]
    contents[1], contents[2] = contents[2], contents[1]
    return [(at, fields) for (at, _), fields in zip(entries, contents, strict=True)]


TAMPERING: dict[str, Callable[[Stored], Stored]] = {
    "changed": lambda entries: [
        (at, altered(fields) if index == 1 else fields)
        for index, (at, fields) in enumerate(entries)
    ],
    "removed": lambda entries: renumbered(without(1)(entries)),
    "reordered": lambda entries: renumbered(swapped(entries)),
    "cut": lambda entries: entries[:2],
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_one_head_kept_elsewhere_finds_what_was_done_with_all_of_redis_at_hand(
    store: RedisReleaseStore, redis_client: Redis, kind: str
) -> None:
    """Numbers, hashes and seals are made anew: only the witness differs."""
    write(store, 1, 2, 3, 4)
    witness = store.seal_audit()
    assert witness is not None and not verdict(store, witness).findings
    rewrite(redis_client, TAMPERING[kind])
    redis_client.hset(STATE, "number", len(stored(redis_client)))
    seal_again(store, redis_client)
    assert not verdict(store).findings
    assert verdict(store, witness).findings


def test_the_head_depends_on_the_order(store: RedisReleaseStore) -> None:
    write(store, 1, 2, 3)
    first, second, third = store.trail.entries()
    head, other = START, START
    for one, moved in zip((first, second, third), (second, first, third), strict=True):
        head, other = extend(head, one), extend(other, moved)
    assert head.number == other.number and head.digest != other.digest


def test_an_entry_that_was_changed_alone_is_named(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    write(store, 1, 2, 3)
    store.seal_audit()
    rewrite(redis_client, lambda entries: [entries[0], forged(entries[1]), entries[2]])
    found = verdict(store).findings
    assert "entry 2 was changed: it is not what its writer sent" in found
    assert "the entries up to 3 are not those that were sealed" in found


def test_what_is_removed_reordered_or_cut_is_named_by_its_number(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    write(store, *range(1, 8))
    rewrite(redis_client, lambda entries: swapped(without(4)(entries))[:-1])
    assert verdict(store).findings == [
        "entry 2 stands behind entry 3: reordered",
        "entry 5 is missing",
        "cut: entries up to 7 were written, as Redis counted, and the audit ends at 6",
    ]


def test_each_stretch_between_two_heads_is_judged_by_itself(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    heads = []
    for number in range(1, 7):
        write(store, number)
        heads += [store.seal_audit()]
    rewrite(redis_client, TAMPERING["changed"])
    found = verdict(store, *(head for head in heads[::2] if head is not None))
    about = [line for line in found.findings if "witnessed" in line]
    assert len(about) == 1 and about[0].startswith("entries 2 to 3: ")
    assert "witnessed: entries 1 to 5" in found.notes
    assert any(line.startswith("witnessed by nobody: entry 6;") for line in found.notes)


def test_an_entry_without_a_number_among_others_is_found(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    redis_client.xadd(AUDIT, {"line": '{"at":1}'})
    write(store, 1)
    assert not verdict(store).findings
    redis_client.xadd(AUDIT, {"line": '{"at":1}'})
    (found,) = verdict(store).findings
    assert found.startswith("1 entry without a number")


def test_sealing_again_changes_nothing_and_of_two_sealers_one_writes(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    write(store, 1, 2)
    other = RedisReleaseStore(redis_client)
    head = store.seal_audit()
    assert head is not None and head.number == 2
    assert store.seal_audit() is None and other.seal_audit() is None
    write(store, 3)
    later = other.seal_audit()
    assert later is not None and later.number == 3
    assert store.seal_audit() is None
    assert store.audit_head() == later


def test_what_is_not_sealed_yet_is_said_to_be_so(store: RedisReleaseStore) -> None:
    write(store, 1, 2)
    store.seal_audit()
    write(store, 3, 4)
    assert "not sealed yet: entries 3 to 4" in verdict(store).notes


def test_only_the_sealer_trims_and_a_checkpoint_stays(redis_client: Redis) -> None:
    store = RedisReleaseStore(redis_client, retention=Retention(audit_ms=-60_000))
    write(store, *range(1, 121))
    assert len(stored(redis_client)) == 120
    head = store.seal_audit()
    write(store, 200)
    store.seal_audit()
    state = store.trail.state()
    assert state.checkpoint == head
    assert redis_client.hlen(WORDS) == 1
    found = verdict(store)
    assert not found.findings and "trimmed by the retention: entries up to 120" in found.notes
    assert not verdict(store, AuditHead(120, state.checkpoint.digest)).findings
    assert verdict(store, AuditHead(120, "0" * 64)).findings


def test_a_beginning_that_was_cut_behind_a_made_up_checkpoint_is_found(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    write(store, 1, 2, 3)
    first = AuditHead(0, "0" * 64)
    for entry in list(store.trail.entries())[:2]:
        first = extend(first, entry)
    store.seal_audit()
    rewrite(redis_client, lambda entries: entries[2:])
    redis_client.hset(STATE, mapping={"checkpoint": 2, "checkpoint_head": first.digest})
    assert verdict(store).findings == ["entries up to 2 were trimmed, and no entry says so"]


def test_the_view_of_an_app_says_what_the_stream_says(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    write(store, 1, 2)
    assert [line.text for line in store.audit(app="hello")] == ["line 2", "line 1"]
    rewrite(redis_client, TAMPERING["changed"])
    assert store.audit(app="hello") == store.audit()


# --- people ---------------------------------------------------------------------------------------


def test_an_entry_holds_ids_alone(store: RedisReleaseStore, redis_client: Redis) -> None:
    write(store, 1)
    (_, fields) = stored(redis_client)[0]
    assert b"Ann" not in fields[b"line"] and b"line 1" not in fields[b"line"]
    beside = json.loads(cast(bytes, redis_client.hget(WORDS, "1")))
    assert (beside["name"], beside["text"]) == ("Ann", "line 1")
    assert len(beside["salt"]) >= 32


def test_the_same_words_twice_have_two_hashes(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    """Nobody finds out by trying whether a text was among those that were erased."""
    line = AuditLine(T0, "hello-42", "hello", "paused", "the same", "U1")
    for number in (1, 2):
        store.write_audit(line, operation=f"{number}")
    assert len({fields[b"line"] for _, fields in stored(redis_client)}) == 2


def test_words_that_are_changed_are_found(store: RedisReleaseStore, redis_client: Redis) -> None:
    write(store, 1)
    words = cast(bytes, redis_client.hget(WORDS, "1"))
    redis_client.hset(WORDS, "1", words.replace(b"line 1", b"line 2"))
    assert verdict(store).findings == ["the words beside entry 1 were changed"]


def test_the_same_refusal_of_the_same_person_is_one_entry_a_minute_with_its_count(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    line = AuditLine(T0, "", "hello", "refused", "deploy hello 2", "U1", rule="role")
    for number in range(50):
        store.write_refusal(line, same_as="role deploy hello", operation=f"r{number}")
    store.write_refusal(line, same_as="role deploy hello", operation="r49")
    store.seal_audit()
    assert [one.count for one in store.audit()] == [1]
    for _ in range(2):
        _end_windows(redis_client)
        store.seal_audit()
    assert [one.count for one in store.audit()] == [49, 1]
    assert redis_client.hlen(f"{PREFIX}refusals") == 0
    assert not verdict(store).findings


def _end_windows(client: Redis) -> None:
    name = f"{PREFIX}refusals"
    for field, value in cast(dict[bytes, bytes], client.hgetall(name)).items():
        client.hset(name, field, json.dumps(["0", *json.loads(value)[1:]]))


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def command(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setenv("REDIS_URL", redis_url)
    return lambda *words: main([*map(str, words)])


def test_verify_reads_heads_from_any_text(
    store: RedisReleaseStore,
    redis_client: Redis,
    command: Callable[..., int],
    tmp_path: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(store, 1, 2, 3)
    head = store.seal_audit()
    witness = tmp_path / "export.json"
    witness.write_text(json.dumps([{"text": f"hello-42 is over\n{head}"}]))
    assert command("verify", "--witness", witness) == 0
    assert "witnessed: entries 1 to 3" in capsys.readouterr().out
    rewrite(redis_client, TAMPERING["removed"])
    assert command("verify", "--witness", witness) == 1
    assert "NOT as it was written" in capsys.readouterr().out


def test_erasing_leaves_the_chain_whole_and_is_itself_recorded(
    store: RedisReleaseStore,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(store, 1, 2)
    head = store.seal_audit()
    assert head is not None
    assert command("erase", "--user", "U1") == 0
    found = verdict(store, head)
    assert not found.findings and "erased: the words beside 2 entries" in found.notes
    assert command("show", "hello-42") == 0
    shown = capsys.readouterr().out
    assert "(erased)" in shown and "line 1" not in shown and "Ann" not in shown
    assert store.audit()[0].text == "U1: 2 entries"


def test_export_gives_a_line_an_entry_and_nothing_that_a_spreadsheet_would_run(
    store: RedisReleaseStore, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    line = AuditLine(T0, "hello-42", "hello", "paused", "=HYPERLINK(1)", "U1", name="Ann")
    store.write_audit(line, operation="1")
    assert command("export", "--since", "1h") == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["number"], row["by"], row["name"], row["sealed"]) == (1, "U1", "Ann", False)
    assert command("export", "--format", "csv") == 0
    head, cells = capsys.readouterr().out.splitlines()
    assert head.startswith("number,time,kind,") and ",'=HYPERLINK(1)," in cells
    assert command("export", "--since", "2999-01-01") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("verify", "--witness", "/nowhere"), "cannot be read: No such file"),
        (("verify", "--witness", "/dev/null"), "/dev/null holds no head"),
        (("show", "hello"), "`hello` is not a release, such as hello-42"),
        (("show", "hello-7"), "the audit has nothing about hello-7"),
        (("export", "--since", "yesterday"), "`yesterday` is no time"),
        (("erase",), "say whose with --user"),
        (("erase", "--user", "ann"), "`ann` is no member ID"),
    ],
)
def test_a_mistake_is_one_line(
    words: tuple[str, ...],
    said: str,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(*words) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
