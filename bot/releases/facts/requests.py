"""Requests to a running release: from people, or from the API server's refusal. ``engine.respond``
replies to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from bot.releases.facts.people import Person


@dataclass(frozen=True)
class Approve:
    """``gate`` and ``plan_hash`` are what the button carried; a typed promote carries the current
    ones. ``groups``: those of the catalog that the person is in."""

    by: Person
    gate: str
    plan_hash: str
    groups: tuple[str, ...] = ()
    kind: Literal["approve"] = "approve"


@dataclass(frozen=True)
class Reject:
    """``note`` as for Pause."""

    by: Person
    gate: str
    plan_hash: str
    reason: str = ""
    note: str = ""
    kind: Literal["reject"] = "reject"


@dataclass(frozen=True)
class Pause:
    """Hold where it is: "Pause" on a card, `/rollout pause`. ``note``: by which memberships it was
    allowed while Slack did not answer; "" where Slack did."""

    by: Person
    note: str = ""
    kind: Literal["pause"] = "pause"


@dataclass(frozen=True)
class Resume:
    """Continue after a pause, or write the release's values again after drift. ``at`` names the one
    that a button was drawn for; "" for a typed one."""

    by: Person
    at: str = ""
    kind: Literal["resume"] = "resume"


@dataclass(frozen=True)
class Promote:
    """End the hold, or approve the gate before the promotion. ``at`` names the hold a button was
    drawn for; "" for a typed one. ``groups`` as for Approve."""

    by: Person
    at: str = ""
    groups: tuple[str, ...] = ()
    kind: Literal["promote"] = "promote"


@dataclass(frozen=True)
class Finish:
    """ "Finish now": end a rollback window early. ``at`` as for Promote. Of a fleet: leave it as it
    is, for a ``reason``."""

    by: Person
    at: str = ""
    reason: str = ""
    kind: Literal["finish"] = "finish"


@dataclass(frozen=True)
class Abort:
    """Roll everything back to as found. ``force`` ends the release without touching the cluster
    (admins). ``at`` names the wait for capacity that a button was drawn for; "" for a typed one.
    ``note`` as for Pause. ``then``: what becomes of the versions that wait behind it."""

    by: Person
    force: bool = False
    then: Literal["hold", "start"] = "hold"
    reason: str = ""
    at: str = ""
    note: str = ""
    kind: Literal["abort"] = "abort"


@dataclass(frozen=True)
class Adopt:
    """Accept the drift: keep the outside change. ``at`` as for Resume."""

    by: Person
    at: str = ""
    kind: Literal["adopt"] = "adopt"


@dataclass(frozen=True)
class Refuse:
    """The API server (or a fresh check of the requester's role) will not let the release continue:
    permanent, quoted word for word."""

    why: str
    kind: Literal["refuse"] = "refuse"


PersonsRequest: TypeAlias = Approve | Reject | Pause | Resume | Promote | Finish | Abort | Adopt
Request: TypeAlias = PersonsRequest | Refuse


@dataclass(frozen=True)
class Asked:
    """A request that takes effect once Slack has said again that its person may make it."""

    request: PersonsRequest
    at: int
