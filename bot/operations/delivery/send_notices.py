"""Direct messages for those who want them: an approval that a person may give, and the end of a
person's own release that took longer than a minute."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias, cast, get_args

from bot.operations.context import Context, log
from bot.policy.permissions import Grant, Role
from bot.ports import ChannelUnavailable, Message, RateLimited, SlackUnavailable
from bot.releases.engine.gates import open_gate
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Release

Wish: TypeAlias = Literal["all", "mine", "none"]
"""``all``: approvals that the person may give, too. ``mine``: the ends of their own releases."""
WISH_KEPT_MS = 400 * 86_400_000
SENT_KNOWN_MS = 86_400_000
LONG_MS = 60_000
MAX_PEOPLE = 20


def wish_of(context: Context, user: str) -> Wish:
    kept = context.store.peek(f"notices:{user}")
    return cast(Wish, kept) if kept in get_args(Wish) else "mine"


def set_wish(context: Context, user: str, wish: Wish) -> None:
    context.store.put(f"notices:{user}", wish, ttl_ms=WISH_KEPT_MS)


def send_notices(context: Context, release: Release, event: Event, message: Message) -> None:
    """A notice that is lost costs less than one that comes twice."""
    send_directly(context, release, event, _who_wants(context, release, event), message)


def send_directly(
    context: Context, release: Release, event: Event, people: list[str], message: Message
) -> None:
    """At most once a person."""
    if release.requested_by.is_machine:
        people = [user for user in people if user != release.requested_by.user]
    for user in people[:MAX_PEOPLE]:
        key = f"direct:{release.id}:{event.kind}:{event.at}:{user}"
        if not context.store.put_new(key, context.runtime.new_id(), ttl_ms=SENT_KNOWN_MS):
            continue
        try:
            context.messenger.direct(user, without_buttons(message))
        except (ChannelUnavailable, RateLimited, SlackUnavailable) as error:
            log.warning("no direct message to %s: %s", user, error)


def _who_wants(context: Context, release: Release, event: Event) -> list[str]:
    starter = release.requested_by.user
    if event.kind is EventKind.GATE_OPENED:
        people = sorted(_approvers(context, release) - {starter})
        return [user for user in people if wish_of(context, user) == "all"]
    took = release.took_ms or 0
    is_long = event.kind is EventKind.FINISHED and took > LONG_MS
    return [starter] if is_long and wish_of(context, starter) != "none" else []


def _approvers(context: Context, release: Release) -> set[str]:
    target = release.target
    grants = context.catalog.access.grants_at(target.app, target.cluster)
    gate = open_gate(release)
    grant = grants.get(Role.APPROVER, Grant())
    if isinstance(gate, ApprovalGate) and gate.voters.named:
        grant = Grant(groups=frozenset(gate.voters.named))
    people = set(grant.users)
    if grant.groups:
        try:
            members = context.directory.memberships()
        except SlackUnavailable:
            return people
        people |= {user for group in grant.groups for user in members.get(group, ())}
    return people


def without_buttons(message: Message) -> Message:
    """A copy is not edited when the question is answered, so it only leads to the card."""
    kept = tuple(block for block in message.blocks if block.get("type") not in ("actions", "table"))
    return replace(message, blocks=kept, metadata=None)
