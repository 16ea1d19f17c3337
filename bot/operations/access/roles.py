"""The roles of a person, from the cached directory or read afresh."""

from __future__ import annotations

import json

from bot.operations.context import Context
from bot.policy.permissions import Role, roles_of
from bot.ports import SlackUnavailable
from bot.releases.facts.people import Person

MEMBERS = "members of the catalog's groups"
FRESH_MS = 6_000


def known_roles(context: Context, person: Person) -> frozenset[Role]:
    """From the cached directory: a listener never waits for Slack. A group that cannot be read
    grants nothing."""
    try:
        groups = _groups(context, person)
    except SlackUnavailable:
        groups = frozenset()
    return roles_of(context.catalog.access, person.user, groups)


def fresh_roles(context: Context, person: Person) -> frozenset[Role]:
    """Groups as Slack had them seconds ago; older ones count only while Slack is away. Raises
    SlackUnavailable where there are none."""
    try:
        groups = _fresh_groups(context, person)
    except SlackUnavailable:
        groups = _groups(context, person)
    return roles_of(context.catalog.access, person.user, groups)


def _groups(context: Context, person: Person) -> frozenset[str]:
    if not context.catalog.access.needs_groups:
        return frozenset()
    return context.directory.groups_of(person.user)


def _fresh_groups(context: Context, person: Person) -> frozenset[str]:
    """One read serves all workers for some seconds: Slack allows 20 reads a minute, and forty
    releases may start at once."""
    access = context.catalog.access
    if not access.needs_groups:
        return frozenset()
    kept = context.store.peek(MEMBERS)
    if kept is None:
        members = context.directory.memberships()
        kept = json.dumps(
            {group: sorted(members.get(group, ())) for group in sorted(access.named_groups)}
        )
        context.store.put(MEMBERS, kept, ttl_ms=FRESH_MS)
    return frozenset(group for group, users in json.loads(kept).items() if person.user in users)
