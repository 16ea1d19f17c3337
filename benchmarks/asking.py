"""Asks one query after the other through the local Slack, and prints as JSON how many milliseconds
each answer took: from the moment when Slack sent the request until the answer reached the
response_url, both by the local Slack's own journal. A bot replies to no other address."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import httpx

KINDS = {
    "/pods": "/pods hello",
    "/get pods": "/get pods hello",
    "/get events": "/get events hello",
    "status": "/rollout status hello",
    "history": "/rollout history hello",
    "/explain": "/explain deployment.spec.strategy",
}
PAUSE_S = 0.05
POLL_S = 0.02
WITHIN_S = 30.0
Json = dict[str, Any]


def entries(client: httpx.Client, kind: str, after: int) -> list[Json]:
    answer = client.get("/_sandbox/log", params={"kind": kind, "after": after}).json()
    found: list[Json] = answer["entries"]
    return found


def ask(client: httpx.Client, command: str, after: int) -> tuple[float, int]:
    """(milliseconds, the journal's entry of the request)"""
    asked = {"user": "U0DEV1", "channel": "C0RELEASES", "text": command}
    client.post("/_sandbox/command", json=asked).raise_for_status()
    sent = next(
        one
        for one in reversed(entries(client, "delivery", after))
        if one["request"].get("command") == command.partition(" ")[0]
    )
    key = sent["request"]["response_url"].rpartition("/")[2]
    ends = time.monotonic() + WITHIN_S
    while (answer := answer_to(client, key, after)) is None:
        if time.monotonic() > ends:
            raise TimeoutError(f"{command} was not answered within {WITHIN_S:g} s")
        time.sleep(POLL_S)
    if not answer["ok"] or "⚠️" in json.dumps(answer["request"], ensure_ascii=False):
        raise RuntimeError(f"{command} was refused: {answer['request']}")
    return (answer["at"] - sent["at"]) * 1000, sent["id"]


def answer_to(client: httpx.Client, key: str, after: int) -> Json | None:
    """Others are answered at the same time, such as who started the releases."""
    found = entries(client, "response_url", after)
    return next((one for one in found if one["key"] == key), None)


def main(slack_url: str, rounds: int) -> None:
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with httpx.Client(base_url=slack_url, timeout=WITHIN_S, trust_env=False) as client:
        last = max((one["id"] for one in entries(client, "delivery", 0)), default=0)
        for number in range(rounds + 1):
            for kind, command in KINDS.items():
                took_ms, last = ask(client, command, last)
                if number:  # the first of each kind warms up
                    times[kind].append(took_ms)
                time.sleep(PAUSE_S)
    print(json.dumps(times))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
