"""A release as a deployment at GitHub with its statuses, so that a pull request shows where it
runs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson

from bot.ports import Happened, Receiver, ReceiverAway, ReceiverRefused
from bot.receivers.deployment import Words, environment, is_deployment, unknown_version
from bot.receivers.transport import call
from bot.releases.facts.release import Release

LONGEST = 140
WORDS = Words("queued", "in_progress", "success", "failure", stopped="inactive")


def send(receiver: Receiver, secret: str, happened: Happened, _part: int) -> bool:
    if not is_deployment(happened):
        return False
    github = _GitHub(receiver, secret)
    deployment = github.find(happened.release) or github.create(happened.release)
    github.add_status(deployment, WORDS.of(happened), happened)
    return False


class _GitHub:
    def __init__(self, receiver: Receiver, token: str) -> None:
        self._deployments = f"{receiver.url.rstrip('/')}/repos/{receiver.repository}/deployments"
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "Content-Type": "application/json",
            "User-Agent": "pilothouse",
        }

    def find(self, release: Release) -> int | None:
        query = urlencode({"task": _task(release), "per_page": 1})
        found = call("GET", f"{self._deployments}?{query}", self._headers)
        return _number(found[0]) if isinstance(found, list) and found else None

    def create(self, release: Release) -> int:
        """Raises ReceiverRefused where the version is no tag, branch or commit there."""
        body = {
            "ref": release.to_version,
            "task": _task(release),
            "environment": environment(release),
            "description": f"{release.id} by Pilothouse",
            "auto_merge": False,
            "required_contexts": [],
        }
        try:
            return _number(self._post(self._deployments, body))
        except ReceiverRefused as refused:
            raise unknown_version(release, refused) from None

    def add_status(self, deployment: int, state: str, happened: Happened) -> None:
        body = {"state": state, "description": happened.line.text[:LONGEST]}
        if happened.address:
            body["log_url"] = happened.address
        self._post(f"{self._deployments}/{deployment}/statuses", body)

    def _post(self, url: str, body: dict[str, Any]) -> Any:
        return call("POST", url, self._headers, orjson.dumps(body))


def _task(release: Release) -> str:
    return f"deploy:{release.id}"


def _number(found: Any) -> int:
    try:
        return int(found["id"])
    except (LookupError, TypeError, ValueError):
        raise ReceiverAway("the reply names no deployment") from None
