"""A release as a deployment at GitLab, in an environment for each app and cluster."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from bot.ports import Happened, Receiver, ReceiverAway, ReceiverRefused
from bot.receivers.deployment import Words, environment, is_deployment, unknown_version
from bot.receivers.transport import call
from bot.releases.facts.release import Release

CLOCKS_APART_S = 60
WORDS = Words("created", "running", "success", "failed", stopped="canceled")


def send(receiver: Receiver, secret: str, happened: Happened, _part: int) -> bool:
    if not is_deployment(happened):
        return False
    gitlab, status = _GitLab(receiver, secret), WORDS.of(happened)
    commit = gitlab.commit(happened.release)
    found = gitlab.find(happened.release, commit)
    if found is None:
        gitlab.create(happened.release, commit, status)
    elif found["status"] != status:
        gitlab.change(found["id"], status)
    return False


class _GitLab:
    def __init__(self, receiver: Receiver, token: str) -> None:
        project = quote(receiver.repository, safe="")
        self._project = f"{receiver.url.rstrip('/')}/api/v4/projects/{project}"
        self._headers = {"PRIVATE-TOKEN": token, "Content-Type": "application/json"}

    def commit(self, release: Release) -> str:
        """Raises ReceiverRefused where the version is no tag, branch or commit there."""
        version = quote(release.to_version, safe="")
        try:
            found = call("GET", f"{self._project}/repository/commits/{version}", self._headers)
            return str(found["id"])
        except ReceiverRefused as refused:
            raise unknown_version(release, refused) from None
        except (LookupError, TypeError):
            raise ReceiverAway("the reply names no commit") from None

    def find(self, release: Release, commit: str) -> dict[str, Any] | None:
        """The newest of this commit that is no older than the release."""
        about = {"environment": environment(release), "order_by": "id", "sort": "desc"}
        found = call("GET", f"{self._project}/deployments?{urlencode(about)}", self._headers)
        since = release.created_at / 1000 - CLOCKS_APART_S
        try:
            ours = [one for one in found if one["sha"] == commit and _at(one) >= since]
            return {"id": ours[0]["id"], "status": ours[0]["status"]} if ours else None
        except (LookupError, TypeError, ValueError):
            raise ReceiverAway("the reply lists no deployments") from None

    def create(self, release: Release, commit: str, status: str) -> None:
        body = {
            "environment": environment(release),
            "sha": commit,
            "ref": release.to_version,
            "tag": False,
            "status": status,
        }
        call("POST", f"{self._project}/deployments", self._headers, orjson.dumps(body))

    def change(self, deployment: int, status: str) -> None:
        body = orjson.dumps({"status": status})
        call("PUT", f"{self._project}/deployments/{deployment}", self._headers, body)


def _at(deployment: dict[str, Any]) -> float:
    return datetime.fromisoformat(deployment["created_at"]).timestamp()
