"""What comes in from Slack and what goes back, as domain data: rendering is bot.slack.blocks' part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.ports import Table
from bot.releases.model import Person, Release, Strategy
from bot.releases.plan import Plan


@dataclass(frozen=True)
class Invocation:
    """A typed command, however it was typed. ``text`` begins with the command's name: "deploy hello 2.0.0"."""

    person: Person
    channel: str
    text: str
    command: str  # as typed: "/deploy", "/pilothouse", "@Pilothouse"
    dedup_key: str
    response_url: str = ""
    trigger_id: str = ""
    thread_ts: str = ""
    via: Literal["slash", "mention", "modal"] = "slash"


@dataclass(frozen=True)
class Click:
    """A button. ``value`` is the JSON the button carried: release id, gate, plan hash."""

    person: Person
    channel: str
    action: str
    value: str
    message_ts: str
    response_url: str = ""
    trigger_id: str = ""
    dedup_key: str = ""
    text: str = ""
    was_asked_why: bool = False  # the form for a reason was filled in, or cannot be opened


@dataclass(frozen=True)
class KnownVersion:
    """``where``: what else runs it, "" for one of the app's own history."""

    version: str
    where: str = ""


@dataclass(frozen=True)
class DeployForm:
    """What the `/deploy` form shows and holds. ``known``: versions of the chosen app, newest first, then what runs elsewhere."""

    apps: tuple[str, ...]
    app: str = ""
    known: tuple[KnownVersion, ...] = ()
    version: str = ""
    strategy: Strategy = Strategy.ROLLING
    steps: str = ""
    reason: str = ""
    channel: str = ""
    preview: tuple[str, ...] = ()  # what the release would do, one line a step
    computed: bool = False  # the preview is the plan, computed against the cluster; else the outline by the catalog

    @property
    def command(self) -> str:
        """What would be typed: ``deploy hello 2.0.0 canary steps=20,50 reason="…"``."""
        words = ["deploy", self.app or "APP", self.version or "VERSION", self.strategy.value]
        if self.steps and self.strategy is Strategy.CANARY:
            words.append(f"steps={self.steps.replace(' ', '')}")
        if self.reason:
            words.append('reason="' + " ".join(self.reason.split()).replace('"', "'") + '"')
        return " ".join(words)


@dataclass(frozen=True)
class Text:
    """``in_channel``: it concerns everyone there."""

    line: str
    in_channel: bool = False
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Refusal:
    """``instead``: valid commands, as they would be typed here, offered as buttons that carry ``token``."""

    line: str
    hint: str = ""
    instead: tuple[str, ...] = ()
    token: str = ""
    kind: Literal["refusal"] = "refusal"


@dataclass(frozen=True)
class Receipt:
    """A release was created, or (``fresh`` False) the one that already does the same. ``behind``: the release it waits for;
    ``elsewhere``: its card is not in the channel where it was asked for."""

    release: Release
    fresh: bool
    behind: str = ""
    elsewhere: bool = False
    kind: Literal["receipt"] = "receipt"


@dataclass(frozen=True)
class Tabled:
    """``share``: the token of "Share here", "" where everyone sees the answer anyway; ``file``: of "As a file", "" for a short answer."""

    tables: tuple[Table, ...]
    share: str = ""
    file: str = ""
    kind: Literal["tabled"] = "tabled"


@dataclass(frozen=True)
class Document:
    """Long text: the top in the message, the whole as a file when it does not fit. ``explains``: kubectl's explanation, whose sentences
    the message lets flow; else all of it is preformatted."""

    title: str
    text: str
    share: str = ""
    explains: bool = False
    kind: Literal["document"] = "document"


@dataclass(frozen=True)
class HelpFor:
    command: str | None
    kind: Literal["help"] = "help"


@dataclass(frozen=True)
class Whoami:
    person: Person
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    channel: str
    channel_allowed: bool
    grant_line: str  # the catalog line that would grant more
    kind: Literal["whoami"] = "whoami"


@dataclass(frozen=True)
class Planned:
    """A dry run."""

    release: Release
    plan: Plan
    share: str = ""
    kind: Literal["planned"] = "planned"


@dataclass(frozen=True)
class Confirm:
    """Shown with a button to go on: a diff of /apply, a deployment that will be down. ``token`` comes back in the click's value."""

    title: str
    lines: tuple[str, ...]
    action: str
    token: str
    kind: Literal["confirm"] = "confirm"


@dataclass(frozen=True)
class AskReason:
    """Before a release is rejected: a form with a field for the reason."""

    release: Release
    kind: Literal["ask_reason"] = "ask_reason"


@dataclass(frozen=True)
class OpenModal:
    app: str
    kind: Literal["modal"] = "modal"


@dataclass(frozen=True)
class Pending:
    """The answer comes later through the response_url."""

    kind: Literal["pending"] = "pending"


@dataclass(frozen=True)
class Listing:
    title: str
    releases: Sequence[Release]
    share: str = ""
    kind: Literal["listing"] = "listing"


Reply: TypeAlias = (
    Text | Refusal | Receipt | Tabled | Document | HelpFor | Whoami | Planned | Confirm | AskReason | OpenModal | Pending | Listing
)
