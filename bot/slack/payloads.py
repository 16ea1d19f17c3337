"""The shape of what Slack sends, as far as the listeners read it. What does not have it is refused
before a listener sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

MAX_FIELDS = 100
"""Slack's forms have about fifteen."""
Id = Annotated[str, StringConstraints(min_length=1, max_length=255)]
ActionTs = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,9})?$")]


class NotFromSlack(ValueError):
    """The body has not the shape of anything that Slack sends."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Named(_Part):
    id: str | None = None


class _User(_Part):
    id: Id
    team_id: str | None = None
    username: str | None = None
    name: str | None = None


class _Option(_Part):
    value: str | None = None


class _Element(_Part):
    value: str | None = None
    selected_option: _Option | None = None


class _State(_Part):
    values: dict[str, dict[str, _Element]] = Field(default_factory=dict)


class _View(_Part):
    id: Id
    type: Id  # Bolt reads it unasked
    callback_id: str = ""
    private_metadata: str = ""
    state: _State = Field(default_factory=_State)

    @field_validator("private_metadata")
    @classmethod
    def _is_an_object(cls, text: str) -> str:
        if text and not isinstance(orjson.loads(text), dict):
            raise ValueError("not an object")
        return text


class _Action(_Element):
    type: Id
    action_id: str
    action_ts: ActionTs | None = None


class _Container(_Part):
    message_ts: str | None = None
    channel_id: str | None = None


class _MessageTs(_Part):
    ts: str | None = None


class _Interaction(_Part):
    user: _User
    team: _Named | None = None
    channel: _Named | None = None
    response_url: str | None = None
    trigger_id: str | None = None


class _BlockActions(_Interaction):
    actions: Annotated[list[_Action], Field(min_length=1)]
    container: _Container | None = None
    message: _MessageTs | None = None
    view: _View | None = None


class _BlockSuggestion(_Interaction):
    action_id: str
    value: str = ""


class _ViewInteraction(_Interaction):
    view: _View


class _Command(_Part):
    command: Annotated[str, StringConstraints(pattern=r"^/.")]
    trigger_id: Id
    user_id: Id
    text: str = ""


class _Authorization(_Part):
    user_id: str | None = None


class _EventKind(_Part):
    type: Id


class _EventCallback(_Part):
    event_id: Id
    event: _EventKind
    team_id: str | None = None
    authorizations: list[_Authorization] | None = None


class _PersonsEvent(_Part):
    user: str | None = None
    text: str | None = None
    channel: str | None = None
    ts: str | None = None
    thread_ts: str | None = None
    team: str | None = None
    user_team: str | None = None
    bot_id: str | None = None
    tab: str | None = None


class _UrlVerification(_Part):
    challenge: str


_BY_TYPE: Mapping[str, type[_Part]] = {
    "block_actions": _BlockActions,
    "block_suggestion": _BlockSuggestion,
    "view_submission": _ViewInteraction,
    "view_closed": _ViewInteraction,
    "event_callback": _EventCallback,
    "url_verification": _UrlVerification,
}
_READ_EVENTS = ("app_mention", "app_home_opened")


def read_payload(body: bytes) -> tuple[str, dict[str, Any]]:
    """(kind, payload): a command, or one of Slack's types. Raises NotFromSlack."""
    try:
        payload = _parse(body)
        if "command" in payload:
            _Command.model_validate(payload)
            return "command", payload
        kind = payload.get("type")
        if not isinstance(kind, str) or kind not in _BY_TYPE:
            raise NotFromSlack("unknown type")
        _BY_TYPE[kind].model_validate(payload)
        if kind == "event_callback" and payload["event"]["type"] in _READ_EVENTS:
            _PersonsEvent.model_validate(payload["event"])
    except ValueError:  # of orjson, parse_qsl, pydantic and UTF-8 alike
        # The cause would quote the body.
        raise NotFromSlack("the body has not the shape of a request from Slack") from None
    return kind, payload


def _parse(body: bytes) -> dict[str, Any]:
    """Slack sends events as JSON, commands as a form, and interactions as JSON in a form. orjson
    refuses what is nested deeply, and characters that cannot be stored."""
    if body.startswith(b"{"):
        payload = orjson.loads(body)
    else:
        form = dict(
            parse_qsl(
                body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
            )
        )
        payload = orjson.loads(form["payload"]) if "payload" in form else form
    if not isinstance(payload, dict):
        raise NotFromSlack("not an object")
    return payload
