"""What a Redis keeps, and the commands on it that the product sends; arguments and replies are
bytes, as on the wire."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Reply: TypeAlias = Any  # bytes, int, None or a list of them


class SortedSet:
    """Members by score, those of one score by name."""

    def __init__(self, scores: Mapping[bytes, float] = {}) -> None:
        self.scores = dict(scores)
        self.order = sorted((score, member) for member, score in self.scores.items())

    def put(self, member: bytes, score: float) -> None:
        self.drop(member)
        self.scores[member] = score
        insort(self.order, (score, member))

    def drop(self, member: bytes) -> bool:
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.order[bisect_left(self.order, (score, member))]
        return True

    def rank(self, member: bytes) -> int | None:
        score = self.scores.get(member)
        return None if score is None else bisect_left(self.order, (score, member))

    def between(self, least: bytes, most: bytes) -> list[tuple[float, bytes]]:
        low, high = least.lstrip(b"("), most.lstrip(b"(")
        first = float(low), b"\xff" * 64 if least.startswith(b"(") else b""
        last = float(high), b"" if most.startswith(b"(") else b"\xff" * 64
        return self.order[bisect_left(self.order, first) : bisect_right(self.order, last)]

    def __len__(self) -> int:
        return len(self.scores)


class Values:
    """What is kept, and the commands on it. Every argument is bytes."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.kept: dict[bytes, Any] = {}
        self.ends: dict[bytes, int] = {}
        self._by_name = {
            name.removeprefix("do_").upper().encode(): getattr(self, name)
            for name in dir(self)
            if name.startswith("do_")
        }

    def call(self, name: bytes, *arguments: bytes) -> Reply:
        return self._by_name[name](*arguments)

    def copy(self) -> tuple[dict[bytes, Any], dict[bytes, int]]:
        return {name: _copy(value) for name, value in self.kept.items()}, dict(self.ends)

    def _get(self, key: bytes) -> Any:
        ends = self.ends.get(key)
        if ends is not None and ends <= self.now_ms():
            self._forget(key)
        return self.kept.get(key)

    def _forget(self, key: bytes) -> bool:
        self.ends.pop(key, None)
        return self.kept.pop(key, None) is not None

    def _made(self, key: bytes, kind: type) -> Any:
        found = self._get(key)
        if found is None:
            found = self.kept[key] = kind()
        return found

    def _tidied(self, key: bytes) -> None:
        """An empty value does not exist."""
        if not self.kept.get(key, True):
            self._forget(key)

    # --- keys and texts ---------------------------------------------------------------------------

    def do_time(self) -> Reply:
        seconds, ms = divmod(self.now_ms(), 1_000)
        return [b"%d" % seconds, b"%d" % (ms * 1_000)]

    def do_exists(self, key: bytes) -> Reply:
        return int(self._get(key) is not None)

    def do_del(self, *keys: bytes) -> Reply:
        return sum(self._get(key) is not None and self._forget(key) for key in keys)

    def do_pexpire(self, key: bytes, ms: bytes) -> Reply:
        if self._get(key) is None:
            return 0
        self.ends[key] = self.now_ms() + int(float(ms))
        return 1

    def do_get(self, key: bytes) -> Reply:
        return self._get(key)

    def do_getdel(self, key: bytes) -> Reply:
        found = self._get(key)
        self._forget(key)
        return found

    def do_set(self, key: bytes, value: bytes, *options: bytes) -> Reply:
        if b"NX" in options and self._get(key) is not None:
            return None
        self._forget(key)
        self.kept[key] = value
        if b"PX" in options:
            self.ends[key] = self.now_ms() + int(options[options.index(b"PX") + 1])
        return b"OK"

    def do_incr(self, key: bytes) -> Reply:
        number = int(self._get(key) or 0) + 1
        self.kept[key] = b"%d" % number
        return number

    # --- hashes -----------------------------------------------------------------------------------

    def do_hget(self, key: bytes, name: bytes) -> Reply:
        return (self._get(key) or {}).get(name)

    def do_hmget(self, key: bytes, *names: bytes) -> Reply:
        found = self._get(key) or {}
        return [found.get(name) for name in names]

    def do_hgetall(self, key: bytes) -> Reply:
        return [part for pair in (self._get(key) or {}).items() for part in pair]

    def do_hkeys(self, key: bytes) -> Reply:
        return list(self._get(key) or {})

    def do_hvals(self, key: bytes) -> Reply:
        return list((self._get(key) or {}).values())

    def do_hexists(self, key: bytes, name: bytes) -> Reply:
        return int(name in (self._get(key) or {}))

    def do_hset(self, key: bytes, *pairs: bytes) -> Reply:
        found = self._made(key, dict)
        before = len(found)
        found.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(found) - before

    def do_hsetnx(self, key: bytes, name: bytes, value: bytes) -> Reply:
        found = self._made(key, dict)
        is_new = name not in found
        found.setdefault(name, value)
        return int(is_new)

    def do_hincrby(self, key: bytes, name: bytes, by: bytes) -> Reply:
        found = self._made(key, dict)
        number = int(found.get(name, 0)) + int(by)
        found[name] = b"%d" % number
        return number

    def do_hdel(self, key: bytes, *names: bytes) -> Reply:
        found = self._get(key) or {}
        gone = sum(found.pop(name, None) is not None for name in names)
        self._tidied(key)
        return gone

    # --- sets and lists ---------------------------------------------------------------------------

    def do_sadd(self, key: bytes, *members: bytes) -> Reply:
        found = self._made(key, dict)
        before = len(found)
        found.update(dict.fromkeys(members))
        return len(found) - before

    def do_smembers(self, key: bytes) -> Reply:
        return list(self._get(key) or ())

    def do_llen(self, key: bytes) -> Reply:
        return len(self._get(key) or ())

    def do_lpush(self, key: bytes, *items: bytes) -> Reply:
        found = self._made(key, list)
        found[:0] = items[::-1]
        return len(found)

    def do_rpush(self, key: bytes, *items: bytes) -> Reply:
        found = self._made(key, list)
        found += items
        return len(found)

    def do_lindex(self, key: bytes, at: bytes) -> Reply:
        found = self._get(key) or []
        return found[int(at)] if -len(found) <= int(at) < len(found) else None

    def do_lrange(self, key: bytes, first: bytes, last: bytes) -> Reply:
        return _cut(self._get(key) or [], first, last)

    def do_ltrim(self, key: bytes, first: bytes, last: bytes) -> Reply:
        found = self._get(key) or []
        found[:] = _cut(found, first, last)
        self._tidied(key)
        return b"OK"

    def do_lrem(self, key: bytes, most: bytes, item: bytes) -> Reply:
        """The first ones, as the product asks for."""
        found, gone = self._get(key) or [], 0
        while item in found and gone < int(most):
            found.remove(item)
            gone += 1
        self._tidied(key)
        return gone

    # --- sorted sets ------------------------------------------------------------------------------

    def do_zadd(self, key: bytes, *arguments: bytes) -> Reply:
        options = {one for one in arguments[:2] if one in (b"NX", b"XX", b"LT")}
        found, added = self._made(key, SortedSet), 0
        rest = arguments[len(options) :]
        for score, member in zip(map(float, rest[::2]), rest[1::2], strict=True):
            present = found.scores.get(member)
            if b"XX" in options if present is None else b"NX" in options:
                continue
            if present is not None and b"LT" in options and score >= present:
                continue
            found.put(member, score)
            added += present is None
        self._tidied(key)
        return added

    def do_zrem(self, key: bytes, *members: bytes) -> Reply:
        found = self._get(key)
        gone = sum(map(found.drop, members)) if found else 0
        self._tidied(key)
        return gone

    def do_zcard(self, key: bytes) -> Reply:
        return len(self._get(key) or ())

    def do_zscore(self, key: bytes, member: bytes) -> Reply:
        found = self._get(key)
        score = found.scores.get(member) if found else None
        return None if score is None else _number(score)

    def do_zrank(self, key: bytes, member: bytes) -> Reply:
        found = self._get(key)
        return found.rank(member) if found else None

    def do_zrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> Reply:
        return _members(_cut(self._order(key), first, last), options)

    def do_zrevrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> Reply:
        return _members(_cut(self._order(key)[::-1], first, last), options)

    def do_zrangebyscore(self, key: bytes, least: bytes, most: bytes, *options: bytes) -> Reply:
        found = self._get(key)
        entries = found.between(least, most) if found else []
        if b"LIMIT" in options:
            at = options.index(b"LIMIT")
            first = int(options[at + 1])
            entries = entries[first : first + int(options[at + 2])]
        return _members(entries, options)

    def do_zremrangebyscore(self, key: bytes, least: bytes, most: bytes) -> Reply:
        return self._drop(key, self.do_zrangebyscore(key, least, most))

    def do_zremrangebyrank(self, key: bytes, first: bytes, last: bytes) -> Reply:
        return self._drop(key, self.do_zrange(key, first, last))

    def do_zpopmin(self, key: bytes, most: bytes) -> Reply:
        entries = self._order(key)[: int(most)]
        self._drop(key, [member for _, member in entries])
        return [part for score, member in entries for part in (member, _number(score))]

    def _order(self, key: bytes) -> list[tuple[float, bytes]]:
        found = self._get(key)
        return found.order if found else []

    def _drop(self, key: bytes, members: Sequence[bytes]) -> int:
        return int(self.do_zrem(key, *members)) if members else 0

    # --- streams ----------------------------------------------------------------------------------

    def do_xadd(self, key: bytes, *arguments: bytes) -> Reply:
        """[MINID ~|= OLDEST] * FIELD VALUE: how the product appends. Only `=` trims here."""
        found = self._made(key, list)
        if arguments[:2] == (b"MINID", b"="):
            found[:] = [one for one in found if one[0] >= _entry_id(arguments[2])]
        now = self.now_ms()
        last = found[-1][0] if found else (0, -1)
        entry = (now, 0) if now > last[0] else (last[0], last[1] + 1)
        found.append((entry, list(arguments[arguments.index(b"*") + 1 :])))
        return b"%d-%d" % entry

    def do_xrevrange(self, key: bytes, _last: bytes, _first: bytes, *options: bytes) -> Reply:
        entries = (self._get(key) or [])[::-1]
        if options:
            entries = entries[: int(options[1])]
        return [[b"%d-%d" % entry, fields] for entry, fields in entries]

    def do_xrange(self, key: bytes, first: bytes, last: bytes, *options: bytes) -> Reply:
        low = (0, 0) if first == b"-" else _entry_id(first)
        high = (1 << 63, 0) if last == b"+" else _entry_id(last)
        entries = [one for one in self._get(key) or [] if low <= one[0] <= high]
        if options:
            entries = entries[: int(options[1])]
        return [[b"%d-%d" % entry, fields] for entry, fields in entries]


def _entry_id(text: bytes) -> tuple[int, int]:
    time, _, order = text.partition(b"-")
    return int(time), int(order)


def _copy(value: Any) -> Any:
    return SortedSet(value.scores) if isinstance(value, SortedSet) else _shallow(value)


def _shallow(value: Any) -> Any:
    return value.copy() if isinstance(value, (dict, list)) else value


def _cut(entries: list[Any], first: bytes, last: bytes) -> list[Any]:
    low, high = int(float(first)), int(float(last))
    low = max(0, low + len(entries)) if low < 0 else low
    high = high + len(entries) if high < 0 else high
    return entries[low : high + 1]


def _members(entries: Iterable[tuple[float, bytes]], options: Sequence[bytes]) -> list[bytes]:
    if b"WITHSCORES" in options:
        return [part for score, member in entries for part in (member, _number(score))]
    return [member for _, member in entries]


def _number(value: float) -> bytes:
    return f"{value:.17g}".encode()
