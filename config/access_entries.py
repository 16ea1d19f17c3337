"""The shape of the catalog's parts about people: who has which role, and who must agree."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from config.entry_types import Channels, Count, Duration, Entry, GroupId, UserId
from config.freeze_windows import Window, checked_rule, checked_timezone, refusal_of_window

GroupIds = Annotated[tuple[GroupId, ...], Strict(False)]


class RoleEntry(Entry):
    """Who has a role."""

    everyone: bool = False
    """Everyone in the workspace."""
    users: Annotated[tuple[UserId, ...], Strict(False)] = ()
    """Member IDs: U…"""
    groups: GroupIds = ()
    """IDs of user groups: S…"""


class RolesEntry(Entry):
    """Who may do what. Each role includes reading; an admin may do everything."""

    viewer: RoleEntry = RoleEntry(everyone=True)
    """May read. Default: everyone in the workspace."""
    deployer: RoleEntry = RoleEntry()
    """May start, pause, abort, scale, undo, apply and freeze."""
    approver: RoleEntry = RoleEntry()
    """May approve and end holds."""
    admin: RoleEntry = RoleEntry()
    """May override freezes and approvals, too."""


class AccessEntry(Entry):
    """Without this section: reading for everyone in the workspace, changing for nobody."""

    channels: Channels = ()
    """IDs of the channels where commands are accepted. Empty: anywhere the bot is."""
    roles: RolesEntry = RolesEntry()


class ScopeEntry(Entry):
    """Who has a role here. A role that is named here is decided here alone."""

    inherit: bool = True
    """false: a role that is not named here is nobody's here."""
    deployer: RoleEntry | None = None
    """Instead of the deployers of the cluster or the workspace."""
    approver: RoleEntry | None = None
    """Instead of the approvers of the cluster or the workspace."""
    admin: RoleEntry | None = None
    """Instead of the admins of the cluster or the workspace."""


class FreezeEntry(Entry):
    """A window: new releases are refused, running ones may hold; a way back never is stopped."""

    scope: str
    """all, an app, cluster:NAME, or a label of clusters such as region:eu"""
    rule: Annotated[str, AfterValidator(checked_rule)]
    """When a window begins: a rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=FR;BYHOUR=16"""
    for_ms: Duration = Field(alias="for")
    """How long it is, by the clock on the wall: 64h from Friday 16:00 end on Monday at 8:00."""
    timezone: Annotated[str, AfterValidator(checked_timezone)]
    """Of the rule: a name of the tz database, such as Europe/Berlin."""
    reason: Annotated[str, Field(min_length=1, max_length=200)]
    """What people read who are refused."""
    override: Literal["one", "two"] = "one"
    """Whether one admin with a reason overrides it, or a second one must approve the start."""

    running: Literal["continue", "hold"] = "continue"
    """Whether releases that have begun continue, or hold before their next step until it ends."""

    @property
    def window(self) -> Window:
        return Window(self.rule, self.for_ms, self.timezone)

    @model_validator(mode="after")
    def _opens_and_closes(self) -> FreezeEntry:
        if line := refusal_of_window(self.window):
            raise ValueError(line)
        return self


class QuorumEntry(Entry):
    """Who must agree: a number of approvers, or of members of named groups."""

    count: Count = 1
    """How many people."""
    any_of: GroupIds = Field(default=(), alias="from")
    """User groups (S…) whose members may approve, instead of those with the role approver."""
    one_from_each: GroupIds = ()
    """User groups (S…) that must each be among those who approved; no one stands for two."""

    @model_validator(mode="after")
    def _possible(self) -> QuorumEntry:
        each = len(self.one_from_each)
        if self.count < each:
            raise ValueError(
                f"count ({self.count}) is smaller than the {each} groups of `one_from_each`, and no"
                f" one stands for two: use {each} or more"
            )
        if self.count == 0 and self.any_of:
            raise ValueError("count is 0, so `from` is never asked: use 1 or more")
        return self


def _quorum(value: object) -> object:
    """A number is that many people with the role."""
    return value if isinstance(value, dict | QuorumEntry) else {"count": value}


Quorum = Annotated[
    QuorumEntry, BeforeValidator(_quorum, json_schema_input_type=Count | QuorumEntry)
]


class ApprovalsEntry(Entry):
    """Who must agree, and how long a release waits for it."""

    start: Quorum = Field(default=QuorumEntry(count=0), json_schema_extra={"default": 0})
    """Approvals before a release starts: a number, or who must agree."""
    promote: Quorum = Field(default=QuorumEntry(count=1), json_schema_extra={"default": 1})
    """Approvals before a canary is promoted or blue/green switches: a number, or who must agree."""
    requester_may_approve: bool = False
    """Whether the one who started a release may approve it."""
    expires_ms: Duration = Field(default=3_600_000, alias="expires")
    """How long a question stands, of versions held in the queue too: 1s or more."""
    on_expiry: Literal["hold", "abort"] = "hold"
    """What follows then."""
    confirm: bool = True
    """Ask before Promote and Switch."""
    remind_ms: Annotated[tuple[Duration, ...], Strict(False)] = Field(default=(), alias="remind")
    """When to remind, since the question, rising: [15m, 1h]. Once it is overdue, every hour."""

    @model_validator(mode="after")
    def _long_enough(self) -> ApprovalsEntry:
        if self.expires_ms < 1_000:
            raise ValueError("expires must be at least 1s")
        if list(self.remind_ms) != sorted({*self.remind_ms}) or any(
            one < 1_000 for one in self.remind_ms
        ):
            raise ValueError("remind must rise and begin with 1s or more, such as [15m, 1h]")
        return self
