"""A cluster's Prometheus, by its HTTP API: raw samples of the counters of named pods.

Bounded in bytes and time; no redirect is followed. What keeps the samples away is an outcome.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson
import urllib3

from bot.releases.facts.counters import SampleQuery, SamplesSeen, SeriesSeen
from config.watched_files import FileStamp, stamp_of

MOST_BYTES: Final = 8 << 20
WITHIN_S: Final = 3.0
LONGEST_REASON: Final = 200
CLOCKS_AGREE_MS: Final = 2_000
_CHUNK: Final = 1 << 16
_NOT_OF_A_NAME = re.compile(r"[^\w.-]")


class _Away(Exception):
    """Why there are no samples: one line."""


@dataclass(frozen=True)
class PrometheusAddress:
    """``token_file`` is read for each question, ``ca_file`` again when it changes."""

    url: str
    token_file: str | None = None
    ca_file: str | None = None


class Prometheus:
    def __init__(self, address: PrometheusAddress, *, within_s: float = WITHIN_S) -> None:
        self._address = address
        self._within_s = within_s
        self._pool: urllib3.PoolManager | None = None
        self._stamp: FileStamp = None

    def read(self, query: SampleQuery, now: int) -> SamplesSeen:
        if not query.pods:
            return SamplesSeen()
        seconds = -(-(now - query.since) // 1000) + 1
        try:
            began = time.monotonic()
            answer, at_prometheus = self._ask(f"{promql(query)}[{seconds}s]")
            here = now + round((time.monotonic() - began) * 1000)
            ahead = at_prometheus - here if at_prometheus else 0
            shift = ahead if abs(ahead) > CLOCKS_AGREE_MS else 0
            return SamplesSeen(_series(answer, query.pod_label, shift))
        except _Away as away:
            return SamplesSeen(away=str(away))

    def vector(self, query: str) -> tuple[tuple[Mapping[str, str], float], ...]:
        """An instant query's labels and values, for the doctor. Raises PrometheusAway."""
        try:
            answer, _ = self._ask(query)
            return tuple(
                (one["metric"], float(one["value"][1])) for one in _result(answer, "vector")
            )
        except _Away as away:
            raise PrometheusAway(str(away)) from None
        except (KeyError, TypeError, ValueError, IndexError):
            raise PrometheusAway("what answers is no Prometheus") from None

    def _ask(self, query: str) -> tuple[Any, int]:
        """(the answer's data, milliseconds of its clock or 0)."""
        ends = time.monotonic() + self._within_s
        body = urlencode({"query": query, "timeout": f"{self._within_s:g}s"})
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self._authorization()}
        try:
            answer = self._connected().request(
                "POST",
                f"{self._address.url.rstrip('/')}/api/v1/query",
                body=body,
                headers={**headers, "Accept-Encoding": "identity"},
                timeout=self._within_s,
                redirect=False,
                retries=False,
                preload_content=False,
            )
            content = _bounded(answer, ends)
        except urllib3.exceptions.HTTPError as error:
            raise _Away(self._why_silent(error)) from error
        return _data(answer.status, content), _clock(answer.headers)

    def _authorization(self) -> dict[str, str]:
        if self._address.token_file is None:
            return {}
        try:
            with open(self._address.token_file, encoding="utf-8") as file:
                token = file.read(16_384).strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise _Away(f"the token file of Prometheus cannot be read: {why}") from error
        if not token.isascii() or not token.isprintable() or not token:
            raise _Away("the token file of Prometheus holds no token")
        return {"Authorization": f"Bearer {token}"}

    def _connected(self) -> urllib3.PoolManager:
        file = self._address.ca_file
        stamp = stamp_of(Path(file)) if file is not None else None
        if self._pool is None or stamp != self._stamp:
            self._pool, self._stamp = urllib3.PoolManager(ssl_context=self._trust()), stamp
        return self._pool

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._address.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise _Away(f"the CA file of Prometheus cannot be read: {error.strerror}") from error

    def _why_silent(self, error: Exception) -> str:
        host = urlsplit(self._address.url).netloc
        refused = isinstance(error, urllib3.exceptions.NewConnectionError)
        if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
            return f"Prometheus at {host} did not answer within {self._within_s:g} s"
        if isinstance(error, urllib3.exceptions.SSLError):
            return f"the certificate of Prometheus at {host} is not trusted: {_one_line(error)}"
        return f"Prometheus at {host} cannot be reached: {type(error).__name__}"


class PrometheusAway(Exception):
    """Why it does not say: one line."""


def promql(query: SampleQuery) -> str:
    """One selector for every wanted counter. The labels of a series say which one it is.

    >>> from bot.releases.facts.counters import Matcher
    >>> of = (Matcher("namespace", "=", "shop"),)
    >>> errors = Selector("http_requests_total", (*of, Matcher("code", "=~", "5..")))
    >>> wanted = (Selector("http_requests_total", of), errors)
    >>> promql(SampleQuery(wanted, "pod", ("hello-1", "hello-2"), 0))
    '{__name__=~"http_requests_total",namespace="shop",pod=~"hello-1|hello-2"}'
    """
    names = "|".join(dict.fromkeys(one.metric for one in query.selectors))
    first, *others = query.selectors
    common = [m for m in first.matchers if all(m in other.matchers for other in others)]
    pods = "|".join(_literal(pod) for pod in query.pods)
    parts = [f'__name__=~"{names}"', *(one.text for one in common)]
    if query.bounds:
        bounds = "|".join(_bound_pattern(bound) for bound in query.bounds)
        parts.append(f'le=~"{bounds}"')
    return "{" + ",".join([*parts, f'{query.pod_label}=~"{pods}"']) + "}"


def _literal(name: str) -> str:
    """In a pattern, within quotes. Names of pods hold letters, digits, - and . alone.

    >>> _literal("hello-5d4f.b"), _literal('a"|b')
    ('hello-5d4f[.]b', 'ab')
    """
    return _NOT_OF_A_NAME.sub("", name).replace(".", "[.]")


def _bound_pattern(bound: float) -> str:
    """As clients write it, with zeros at its end or without.

    >>> _bound_pattern(0.5), _bound_pattern(250.0), _bound_pattern(float("inf"))
    ('0[.]50*', '250([.]0+)?', '[+]Inf')
    """
    if bound == float("inf"):
        return "[+]Inf"
    whole, _, rest = f"{bound:.9f}".rstrip("0").partition(".")
    return f"{whole}[.]{rest}0*" if rest else f"{whole}([.]0+)?"


def _bounded(answer: urllib3.BaseHTTPResponse, ends: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(_CHUNK, decode_content=False):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            answer.close()
            raise _Away(
                f"the answer of Prometheus is larger than {MOST_BYTES >> 20} MiB:"
                " narrow the selectors"
            )
        if time.monotonic() > ends:
            answer.close()
            raise urllib3.exceptions.TimeoutError("the answer does not end")
    answer.release_conn()
    return b"".join(parts)


def _data(status: int, content: bytes) -> Any:
    if status in (401, 403):
        raise _Away(f"Prometheus does not admit us ({status}): check `token_file`")
    if 300 <= status < 400:
        raise _Away(f"Prometheus redirects ({status}): `url` must name where it is")
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or body.get("status") not in ("success", "error"):
        raise _Away(f"what answers is no Prometheus (status {status})")
    if body["status"] == "error" or status != 200:
        raise _Away(f"Prometheus refuses the query: {_one_line(body.get('error', status))}")
    if warnings := body.get("warnings"):
        raise _Away(f"Prometheus answers in part: {_one_line(warnings)}")
    return body.get("data")


def _result(data: Any, kind: str) -> list[Mapping[str, Any]]:
    if not isinstance(data, dict) or data.get("resultType") != kind:
        raise _Away("what answers is no Prometheus: the result has another type")
    found = data.get("result")
    return found if isinstance(found, list) else []


def _series(data: Any, pod_label: str, shift: int) -> tuple[SeriesSeen, ...]:
    times = _Times(shift)
    try:
        return tuple([_one_series(one, pod_label, times) for one in _result(data, "matrix")])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _Away("what answers is no Prometheus: the samples have another form") from error


class _Times(dict[float, int]):
    """Seconds of a sample to milliseconds of our clock: all series of a pod share their times."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self._shift = shift

    def __missing__(self, at: float) -> int:
        found = self[at] = round(at * 1000) - self._shift
        return found


def _one_series(one: Mapping[str, Any], pod_label: str, times: _Times) -> SeriesSeen:
    labels = one["metric"]
    points = tuple([(times[at], float(value)) for at, value in one["values"]])
    return SeriesSeen(labels.get("__name__", ""), labels.get(pod_label, ""), labels, points)


def _clock(headers: Mapping[str, str]) -> int:
    try:
        return round(parsedate_to_datetime(headers.get("Date", "")).timestamp() * 1000) + 500
    except (TypeError, ValueError):
        return 0


def _one_line(what: object) -> str:
    text = re.sub(r"\s+", " ", str(what))
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"
