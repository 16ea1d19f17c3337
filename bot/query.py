"""A question for the query worker: the typed command, who asked and where the reply goes, with the
one codec that writes it to JSON and reads it back.

Queries wait in the work queue, and behind the buttons of a reply in the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from bot.commands.deploy_form import DeployForm
from bot.commands.model import (
    ApplyCommand,
    AppsCommand,
    ClearCommand,
    DeployCommand,
    ExplainCommand,
    FreezeCommand,
    GetCommand,
    PodsCommand,
    ReleaseCommand,
    ReleasesCommand,
    RolloutCommand,
    ScaleCommand,
    TrafficCommand,
    UnfreezeCommand,
)
from bot.releases.facts.people import Person


@dataclass(frozen=True)
class PreviewCommand:
    """Draw the plan into an open `/deploy` form. ``view_hash``: the form as it was last drawn; a
    form that changed since gets a preview of its own."""

    form: DeployForm
    view_id: str
    view_hash: str
    kind: Literal["preview"] = "preview"


TableCommand: TypeAlias = PodsCommand | GetCommand | TrafficCommand | AppsCommand
AppsReplyCommand: TypeAlias = (
    TableCommand
    | ExplainCommand
    | ReleasesCommand
    | ReleaseCommand
    | RolloutCommand
    | DeployCommand
    | ApplyCommand
)
ReplyCommand: TypeAlias = AppsReplyCommand | FreezeCommand | UnfreezeCommand | ClearCommand
"""What the worker replies to. DeployCommand: its dry run."""
QueryCommand: TypeAlias = ReplyCommand | PreviewCommand


@dataclass(frozen=True)
class ReplyTo:
    """``response_url`` "": a message in the channel, or in the thread ``thread_ts``.
    ``in_channel``: everyone there may see the reply."""

    channel: str
    thread_ts: str = ""
    response_url: str = ""
    in_channel: bool = False


@dataclass(frozen=True)
class Query:
    """``apps``: the apps that the command means, the channel's where it names none.

    ``purpose``: a reply, a reply that its asker shares with the channel, or the whole table as a
    file. ``confirms``: digests of what the asker was shown before confirming, by object.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    command: Annotated[QueryCommand, Field(discriminator="kind")]
    asker: Person
    reply_to: ReplyTo
    apps: tuple[str, ...]
    text: str = ""  # as typed
    dedup_key: str = ""
    purpose: Literal["reply", "share", "file"] = "reply"
    confirms: dict[str, str] | None = None


class UnknownQuery(Exception):
    """A document that is no query, or one of another version of Pilothouse."""


StartingCommand: TypeAlias = DeployCommand | ScaleCommand | RolloutCommand
"""RolloutCommand: restart and undo."""


@dataclass(frozen=True)
class RollBackOf:
    """The release whose button asks to roll back, and the channel of its card. ``confirmed``: both
    versions were shown."""

    release: str
    channel: str
    confirmed: bool = False


@dataclass(frozen=True)
class StartRequest:
    """A release that someone asked for: before it gets an id, a worker checks that it can start."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    command: Annotated[StartingCommand, Field(discriminator="kind")]
    app: str
    asker: Person
    reply_to: ReplyTo
    text: str  # as typed, and as the suggestions repeat it
    spoken_as: str  # "/deploy", "@Pilothouse"
    dedup_key: str
    roll_back: RollBackOf | None = None


_QUERY: TypeAdapter[Query] = TypeAdapter(Query)
_START: TypeAdapter[StartRequest] = TypeAdapter(StartRequest)
_FORM: TypeAdapter[DeployForm] = TypeAdapter(DeployForm)


def dump_query(query: Query) -> dict[str, Any]:
    """JSON values only."""
    document: dict[str, Any] = _QUERY.dump_python(query, mode="json")
    return document


def load_query(document: Mapping[str, Any] | str) -> Query:
    """``document``: what dump_query returned, or its JSON text. Raises UnknownQuery."""
    try:
        text = document if isinstance(document, str) else json.dumps(document)
        return _QUERY.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise UnknownQuery(f"{where}: {first['msg']}") from error
    except (TypeError, ValueError) as error:
        raise UnknownQuery(f"not JSON: {error}") from error


def dump_start(request: StartRequest) -> str:
    return _START.dump_json(request).decode()


def load_start(document: str) -> StartRequest:
    """Raises UnknownQuery."""
    try:
        return _START.validate_json(document, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise UnknownQuery(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def dump_form(form: DeployForm) -> dict[str, Any]:
    document: dict[str, Any] = _FORM.dump_python(form, mode="json")
    return document


def load_form(document: Mapping[str, Any]) -> DeployForm:
    """Raises ValueError for what is not a form."""
    return _FORM.validate_json(json.dumps(document), strict=True)
