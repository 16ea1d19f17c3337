"""Replies to one person, as domain data; bot.slack.blocks renders them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.commands.model import DeployCommand, FormField, Suggestion
from bot.policy.freezes import Freeze
from bot.ports import AuditLine, Table
from bot.releases.assess.outside_rollout import OutsideRollout
from bot.releases.facts.causes import Cause
from bot.releases.facts.people import Person
from bot.releases.facts.plan import Plan
from bot.releases.facts.release import Release


@dataclass(frozen=True)
class TextReply:
    """``in_channel``: everyone in the channel sees it. ``on_card``: the release's card shows the
    same, so a click in the channel gets no reply beside it."""

    line: str
    in_channel: bool = False
    on_card: bool = False
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Refusal:
    """``instead``: valid commands, as they would be typed here, offered as buttons that carry
    ``token``. ``field``: where the `/deploy` form shows the line. ``who``: ids of those who can.
    ``ask``: the release for which they can be asked. ``rule``: which rule of the one decision
    refused it, "" where it was none."""

    line: str
    hint: str = ""
    instead: tuple[Suggestion, ...] = ()
    token: str = ""
    field: FormField = "version"
    who: tuple[str, ...] = ()
    ask: str = ""
    kind: Literal["refusal"] = "refusal"
    rule: str = dataclasses.field(default="", compare=False)


@dataclass(frozen=True)
class Receipt:
    """A release was created, or (``fresh`` False) one that does the same already runs.

    ``behind``: the release it waits for; ``elsewhere``: its card is not in the channel where it was
    requested; ``card``: the address of the card of one that already runs.
    """

    release: Release
    fresh: bool
    behind: str = ""
    elsewhere: bool = False
    card: str = ""
    kind: Literal["receipt"] = "receipt"


@dataclass(frozen=True)
class CardLink:
    release_id: str
    state: str
    address: str


@dataclass(frozen=True)
class RollBackTo:
    """A healthy earlier revision. ``app`` as a command names it; ``state``: what runs now, which
    the button is bound to."""

    app: str
    revision: int
    from_version: str
    version: str
    state: str


@dataclass(frozen=True)
class TableReply:
    """``cards``: of releases that run, each with a button that brings it down. ``share``: the token
    of "Share here", "" where everyone sees the reply anyway. ``file``: the token of "As a file", ""
    for a short reply. ``roll_backs``: of a history, one button each."""

    tables: tuple[Table, ...]
    share: str = ""
    file: str = ""
    cards: tuple[CardLink, ...] = ()
    roll_backs: tuple[RollBackTo, ...] = ()
    kind: Literal["tabled"] = "tabled"


@dataclass(frozen=True)
class DocumentReply:
    """Long text: its top in the message, all of it as a file when it does not fit. ``explains``:
    kubectl's explanation, whose prose the message wraps; any other text is preformatted."""

    title: str
    text: str
    share: str = ""
    explains: bool = False
    kind: Literal["document"] = "document"


@dataclass(frozen=True)
class FreezeReply:
    """``note``: how its roles were judged, where that is not as usual. ``over``: how it ended, ""
    while it is in force."""

    freeze: Freeze
    note: str = ""
    over: str = ""
    kind: Literal["freeze"] = "freeze"


@dataclass(frozen=True)
class HelpReply:
    command: str | None
    kind: Literal["help"] = "help"


@dataclass(frozen=True)
class WhoamiReply:
    person: Person
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    channel: str
    channel_allowed: bool
    grant_line: str  # the catalog line that would grant more
    elsewhere: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (app, roles) where they are others
    kind: Literal["whoami"] = "whoami"


@dataclass(frozen=True)
class PlanReply:
    """A dry run."""

    release: Release
    plan: Plan
    share: str = ""
    kind: Literal["planned"] = "planned"


@dataclass(frozen=True)
class ConfirmReply:
    """Shown with a button to continue: a diff of /apply, a deployment that will be down. ``token``
    comes back in the click's value. ``roll_back``: the button rolls this release back instead."""

    title: str
    lines: tuple[str, ...]
    action: str
    token: str
    roll_back: str = ""
    kind: Literal["confirm"] = "confirm"


@dataclass(frozen=True)
class AskReasonReply:
    """Before a release is rejected: a form with a field for the reason. ``to_abort``: before it is
    aborted, a form that asks what becomes of those that are ``waiting``. ``to_finish``: before a
    fleet is left as it is."""

    release: Release
    waiting: tuple[Release, ...] = ()
    to_abort: bool = False
    to_finish: bool = False
    kind: Literal["ask_reason"] = "ask_reason"


@dataclass(frozen=True)
class OpenFormReply:
    """``filled``: what the form shows already, from a suggestion."""

    app: str
    filled: DeployCommand | None = None
    kind: Literal["modal"] = "modal"


@dataclass(frozen=True)
class Pending:
    """The reply comes later through the response_url."""

    kind: Literal["pending"] = "pending"


@dataclass(frozen=True)
class StoryReply:
    """``lines``: what the audit stream tells of the release, oldest first. ``card``: its
    address."""

    release: Release
    lines: Sequence[AuditLine]
    card: str = ""
    share: str = ""
    kind: Literal["story"] = "story"


@dataclass(frozen=True)
class ComparisonReply:
    """What a release changed: (what, before, after) of each field that differs."""

    release: Release
    rows: Sequence[tuple[str, str, str]]
    note: str
    share: str = ""
    kind: Literal["comparison"] = "comparison"


@dataclass(frozen=True)
class ListingReply:
    title: str
    releases: Sequence[Release]
    share: str = ""
    kind: Literal["listing"] = "listing"


@dataclass(frozen=True)
class RolloutCard:
    """No reply: a rollout outside Pilothouse, as its channel sees it. ``app``: as people name it;
    ``before``, ``via``, ``after``: images, ``via`` the last others in between; ``manager``: the
    field manager that wrote the template, "" where the cluster does not say; ``managed``: the tool
    that would revert an undo; ``generation``: of the Deployment as it was observed;
    ``taken_by``: the release that runs since; ``ended_at``: 0 while it is followed, in
    milliseconds; ``missed``: it began before ``began_at``, while nobody watched."""

    app: str
    rollout: OutsideRollout
    before: tuple[str, ...]
    after: tuple[str, ...]
    manager: str
    began_at: int
    generation: int = 0
    ended_at: int = 0
    taken_by: str = ""
    managed: str = ""
    via: tuple[str, ...] = ()
    missed: bool = False
    roll_back: RollBackTo | None = None


@dataclass(frozen=True)
class WorsenedCard:
    """No reply: a version that became worse after its release succeeded. ``compared``: before
    against after, in words; ``card``: its address, "" where unknown."""

    release: Release
    cause: Cause
    compared: str
    roll_back: RollBackTo | None = None
    locks_machines: bool = False
    card: str = ""


Reply: TypeAlias = (
    TextReply
    | Refusal
    | Receipt
    | TableReply
    | DocumentReply
    | FreezeReply
    | HelpReply
    | WhoamiReply
    | PlanReply
    | ConfirmReply
    | AskReasonReply
    | OpenFormReply
    | Pending
    | ListingReply
    | StoryReply
    | ComparisonReply
)
