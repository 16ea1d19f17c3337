"""Asks the app itself which versions answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urljoin

import urllib3

from bot.cluster import errors
from bot.cluster.connect import MOST_OF_AN_APP, SIDE_BY_SIDE, Connection, first_bytes, path_of
from bot.ports import ClusterUnreachable, Refused
from bot.releases.facts.observation import AnswerSeen, ProbeSeen
from bot.releases.facts.plan import Probe

_LONGEST_BODY: Final = 200
_TIMEOUT_S: Final = 3.0
MOST_REQUESTS: Final = 200
MOST_SAMPLED: Final = 16
_PATIENCE_S: Final = 1.0
"""With a pod's own time-out the most that asking all of them may add to a look: both fit into a
tick's budget."""
_POD_TIMEOUT_S: Final = 1.5


def probe(
    connection: Connection,
    namespace: str,
    service: str,
    path: str,
    *,
    requests: int,
    sticky: bool,
    url: str | None,
) -> tuple[str, ...]:
    """The body or the error of each request. ``url`` None: through the API server's service proxy.

    A new connection for every request, as a new visitor has: kube-proxy chooses a pod per
    connection, so requests over one that is kept would all reach the same pod. ``sticky``: one
    visitor who comes back, over one connection.
    """
    count = max(0, min(requests, MOST_REQUESTS))
    if url is None:
        try:
            through = _proxy_path(connection, namespace, service, path)
        except (errors.NotThere, Refused, ClusterUnreachable) as failure:
            return (f"error: {failure}",) * count
        futures = [connection.start(_through_proxy, connection, through) for _ in range(count)]
        return tuple(future.result() for future in futures)
    address = urljoin(url if url.endswith("/") else url + "/", path.lstrip("/"))
    if sticky:
        with urllib3.PoolManager(maxsize=1, retries=False) as visitor:
            return tuple(_directly(visitor, address, {}) for _ in range(count))
    futures = [connection.start(_as_new_visitor, address) for _ in range(count)]
    return tuple(future.result() for future in futures)


def _proxy_path(connection: Connection, namespace: str, service: str, path: str) -> str:
    """The path to the Service's first port through the API server. Without its name, the API
    server answers 503 for a named port (core/service: ResourceLocation)."""
    address = f"{path_of('services', namespace)}/{quote(service)}"
    ports = connection.get(address)["spec"].get("ports") or ()
    port = next((str(first.get("name") or first["port"]) for first in ports), "")
    return f"{address}:{port}/proxy/{path.lstrip('/')}"


def _through_proxy(connection: Connection, path: str) -> str:
    try:
        return _shown(connection.get_text(path))
    except errors.NotThere as gone:
        return f"error: {gone}"
    except (Refused, ClusterUnreachable) as failure:
        return f"error: {failure}"


def _as_new_visitor(address: str) -> str:
    with urllib3.PoolManager(maxsize=1, retries=False) as visitor:
        return _directly(visitor, address, {"Connection": "close"})


def _directly(visitor: urllib3.PoolManager, address: str, headers: dict[str, str]) -> str:
    ends = time.monotonic() + _TIMEOUT_S
    try:
        answer = visitor.request(
            "GET",
            address,
            headers=headers,
            timeout=_TIMEOUT_S,
            redirect=False,
            preload_content=False,
        )
        data, _ = first_bytes(answer, MOST_OF_AN_APP, ends=ends)
    except urllib3.exceptions.HTTPError as error:
        return f"error: {type(error).__name__}"
    if answer.status >= 400:
        return f"error: {answer.status}"
    return _shown(data.decode("utf-8", "replace"))


def _shown(body: str) -> str:
    return body.strip()[:_LONGEST_BODY]


# --- each pod by itself ---------------------------------------------------------------------------


def ask_pods(
    connection: Connection, namespace: str, pods: Sequence[str], probe: Probe
) -> ProbeSeen:
    """Asks the pods in turn, ``probe.requests`` times in all and each pod at least once, as time
    permits; stops at the first failure."""
    count = min(max(probe.requests, len(pods)), MOST_REQUESTS) if pods else 0
    ends = time.monotonic() + _PATIENCE_S
    asked = 0
    failed: dict[str, str] = {}
    for first in range(0, count, SIDE_BY_SIDE):
        if failed or time.monotonic() > ends:
            break
        names = [
            pods[number % len(pods)] for number in range(first, min(first + SIDE_BY_SIDE, count))
        ]
        answers = [
            (name, connection.start(_ask_pod, connection, namespace, name, probe)) for name in names
        ]
        asked += len(answers)
        for name, answer in answers:
            if error := answer.result():
                failed.setdefault(name, error)
    return ProbeSeen(asked, tuple(failed.items()))


def _ask_pod(connection: Connection, namespace: str, pod: str, probe: Probe) -> str:
    """ "" where the pod answered well."""
    answer = _answer_of(connection, namespace, pod, probe, _POD_TIMEOUT_S)
    return "" if answer.outcome == "good" else answer.why


# --- both sides -----------------------------------------------------------------------------------


def sample_pods(
    connection: Connection, namespace: str, pods: Sequence[str], probe: Probe
) -> tuple[AnswerSeen, ...]:
    """One request for each name, side by side."""
    asked = [
        connection.start(_answer_of, connection, namespace, pod, probe, probe.within_ms / 1000)
        for pod in pods[:MOST_SAMPLED]
    ]
    return tuple(answer.result() for answer in asked)


def _answer_of(
    connection: Connection, namespace: str, pod: str, probe: Probe, limit_s: float
) -> AnswerSeen:
    scheme = "https:" if probe.scheme == "https" else ""
    named = f"{scheme}{quote(pod)}:{probe.port}"
    path = f"{path_of('pods', namespace)}/{named}/proxy/{probe.path.lstrip('/')}"
    began = time.monotonic()
    try:
        status, body = connection.answer(path, timeout_s=limit_s)
    except ClusterUnreachable as silent:
        # The other side is asked in the same seconds: a slow API server makes both late.
        if isinstance(silent.__cause__, urllib3.exceptions.ReadTimeoutError):
            return AnswerSeen(pod, "bad", f"it did not answer within {limit_s:g} s")
        return AnswerSeen(pod, "lost", silent.why)
    if problem := errors.status_of(body).get("message"):
        return AnswerSeen(pod, "lost", errors.one_line(str(problem)))
    wrong = _wrong(status, body, probe) or _late(time.monotonic() - began, limit_s)
    return AnswerSeen(pod, "bad" if wrong else "good", wrong)


def _wrong(status: int, body: bytes, probe: Probe) -> str:
    lowest, highest = probe.status
    if not lowest <= status <= highest:
        return f"it answers {status}"
    if probe.contains and probe.contains not in body.decode("utf-8", "replace"):
        return f"its answer does not contain `{probe.contains}`"
    return ""


def _late(took_s: float, limit_s: float) -> str:
    return f"it did not answer within {limit_s:g} s" if took_s > limit_s else ""
