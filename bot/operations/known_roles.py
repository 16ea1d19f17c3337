"""What a person may do, as far as it is known here and now."""

from __future__ import annotations

from bot.operations.context import Context
from bot.policy.permissions import Role, roles_of
from bot.ports import SlackUnavailable
from bot.releases.model import Person


def known_roles(context: Context, person: Person) -> frozenset[Role]:
    """From the cached directory: a listener never waits for Slack. A group that cannot be read grants nothing."""
    try:
        groups = _groups(context, person, fresh=False)
    except SlackUnavailable:
        groups = frozenset()
    return roles_of(context.catalog.access, person.user, groups)


def fresh_roles(context: Context, person: Person) -> frozenset[Role]:
    """Groups are read anew; cached ones serve only while Slack is away. Raises SlackUnavailable where there are none either."""
    try:
        groups = _groups(context, person, fresh=True)
    except SlackUnavailable:
        groups = _groups(context, person, fresh=False)
    return roles_of(context.catalog.access, person.user, groups)


def _groups(context: Context, person: Person, *, fresh: bool) -> frozenset[str]:
    if not context.catalog.access.needs_groups:
        return frozenset()
    return context.directory.groups_of(person.user, fresh=fresh)
