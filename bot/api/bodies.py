"""What a machine sends: one JSON object, bounded, every field known."""

from __future__ import annotations

import re
from typing import Annotated, Any

import anyio
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import ClientDisconnect, Request

from bot.api.problems import Problem, problem
from bot.commands.model import DeployCommand
from bot.operations.intake.start_by_caller import CallerRequest
from bot.releases.facts.target import Strategy
from config.entry_types import AppName, Duration, Label, Shares, StrategyName, UserId

MAX_BODY = 16_384
"""Bytes."""
BODY_SECONDS = 3.0
_KEY = re.compile(r"[\x21-\x7e]{8,128}")
_VERSION = r"^(?:sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9._:/@+-]{0,254})$"


class ReleaseRequest(BaseModel):
    """What is to be released."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    app: AppName
    """The app, as the catalog names it."""
    version: Annotated[str, Field(pattern=_VERSION)]
    """A tag such as 2.0.0, a digest (sha256:…), or a full image of an allowed repository."""
    cluster: Label | None = None
    """Needed where the app is in several."""
    strategy: StrategyName | None = None
    """Default: the app's."""
    steps: Shares | None = None
    """Of a canary: shares of the traffic in percent, rising. Default: the app's."""
    hold: Duration | None = None
    """Of a canary: how long each step is watched, such as 2m. Default: the app's."""
    sticky: bool = False
    """Of a canary: each client stays with one version."""
    reason: Annotated[str, Field(max_length=500)] = ""
    """Shown on the card, and kept in the audit."""
    triggered_by: UserId | None = None
    """The Slack member ID of the person behind it. Needed where a release waits for approvals;
    that person's own vote does not count."""

    @model_validator(mode="after")
    def _for_canary(self) -> ReleaseRequest:
        is_other = self.strategy in ("rolling", "bluegreen")
        given = [name for name in ("steps", "hold", "sticky") if getattr(self, name) not in _UNSET]
        if is_other and given:
            raise ValueError(f"`{given[0]}` is for canary, not for {self.strategy}")
        return self

    def as_request(self, key: str) -> CallerRequest:
        command = DeployCommand(
            self.app,
            self.version,
            Strategy(self.strategy) if self.strategy else None,
            self.cluster,
            self.steps,
            self.hold,
            self.sticky,
            reason=" ".join(self.reason.split()),
        )
        return CallerRequest(key, self.app, command, self.triggered_by or "")


_UNSET = (None, False)


async def read_request(request: Request) -> CallerRequest | Problem:
    keys = request.headers.getlist("idempotency-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        line = "Send one Idempotency-Key of 8 to 128 printable characters without blanks."
        return problem("malformed", line)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return problem("not_json", "Send the body as application/json.")
    body = await _read_body(request)
    if isinstance(body, Problem):
        return body
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return problem("malformed", "The body is not JSON.")
    if not isinstance(data, dict):
        return problem("malformed", "The body must be one JSON object.")
    try:
        return ReleaseRequest.model_validate(data).as_request(keys[0])
    except ValidationError as error:
        return problem("invalid", _in_words(error.errors(include_url=False)[0]))


def _in_words(found: Any) -> str:
    field = ".".join(map(str, found["loc"][:2]))[:100]
    if found["type"] == "extra_forbidden":
        return f"Unknown field `{field}`."
    if found["type"] == "missing":
        return f"The field `{field}` is missing."
    what = found["msg"].removeprefix("Value error, ")[:300]
    return f"{field}: {what}" if field else what


async def _read_body(request: Request) -> bytes | Problem:
    too_large = problem("too_large", f"The body is larger than {MAX_BODY} bytes.")
    length = request.headers.get("content-length", "")
    if re.fullmatch(r"[0-9]{1,18}", length) and int(length) > MAX_BODY:
        return too_large
    body = bytearray()
    with anyio.move_on_after(BODY_SECONDS):
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    return too_large
        except ClientDisconnect:
            pass
        else:
            return bytes(body)
    return problem("too_slow", "The body did not arrive in time.", closes=True)
