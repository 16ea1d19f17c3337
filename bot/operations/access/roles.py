"""The roles of a person: from what is known, or as Slack has them now."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

from bot.operations.context import Context
from bot.policy.permissions import PersonKind, Role, roles_of
from bot.ports import SlackUnavailable, StoreUnavailable
from bot.releases.facts.people import Person

MEMBERS = "members of the catalog's groups"
LAST_MEMBERS = "members of the catalog's groups, as last known"
READING = "someone reads the members of the catalog's groups"
CLOSED = "Slack asked for a pause before groups are read again"
FRESH_MS = 6_000
KIND_MS = 20_000
LAST_KNOWN_MS = 86_400_000
READING_MS = 15_000  # longer than Slack may take
READ_BY_ANOTHER_MS = 500


def known_roles(context: Context, person: Person) -> frozenset[Role]:
    """From the cached directory: a listener never waits for Slack. A group that cannot be read
    grants nothing."""
    try:
        groups = _groups(context, person)
    except SlackUnavailable:
        groups = frozenset()
    return roles_of(context.catalog.access, person.user, groups)


def last_known_roles(context: Context, person: Person) -> frozenset[Role]:
    """For what makes production safer while Slack is away: the groups as any process read them
    last, at most 24 h ago."""
    try:
        kept = context.store.peek(LAST_MEMBERS)
    except StoreUnavailable:
        kept = None
    groups = _groups_in(kept, person.user) if kept is not None else frozenset()
    return roles_of(context.catalog.access, person.user, groups)


def fresh_roles(context: Context, person: Person) -> frozenset[Role]:
    """As Slack has them now, groups seconds old at most. Raises SlackUnavailable: what is older
    moves nothing forward."""
    groups = _fresh_groups(context, person)
    return roles_of(context.catalog.access, person.user, groups, _fresh_kind(context, person))


def _groups(context: Context, person: Person) -> frozenset[str]:
    if not context.catalog.access.needs_groups:
        return frozenset()
    return context.directory.groups_of(person.user)


def _groups_in(kept: str, user: str) -> frozenset[str]:
    return frozenset(group for group, users in json.loads(kept).items() if user in users)


def _fresh_groups(context: Context, person: Person) -> frozenset[str]:
    """One read serves all processes for some seconds: Slack allows 20 reads a minute, and forty
    releases may start at once."""
    if not context.catalog.access.needs_groups:
        return frozenset()
    kept = context.store.peek(MEMBERS)
    if kept is None:
        kept = _read_for_all(context)
    return _groups_in(kept, person.user)


def _read_for_all(context: Context) -> str:
    store = context.store
    if (closed := store.peek(CLOSED)) is not None:
        left = int(closed) - store.now()
        raise SlackUnavailable("Slack asked for a pause before groups are read again", max(left, 1))
    if not store.put_new(READING, uuid.uuid4().hex, ttl_ms=READING_MS):
        raise SlackUnavailable("another process reads the groups", READ_BY_ANOTHER_MS)
    try:
        kept = _document(context, context.directory.memberships())
        store.put(MEMBERS, kept, ttl_ms=FRESH_MS)
        store.put(LAST_MEMBERS, kept, ttl_ms=LAST_KNOWN_MS)
        return kept
    except SlackUnavailable as away:
        if away.retry_after_ms:
            until = store.now() + away.retry_after_ms
            store.put(CLOSED, str(until), ttl_ms=away.retry_after_ms)
        raise
    finally:
        store.take(READING)


def _document(context: Context, members: Mapping[str, frozenset[str]]) -> str:
    named = sorted(context.catalog.access.named_groups)
    return json.dumps({group: sorted(members.get(group, ())) for group in named})


def _fresh_kind(context: Context, person: Person) -> PersonKind:
    key = f"kind of {person.user}"
    kept = context.store.peek(key)
    if kept is not None:
        return PersonKind(kept)
    kind = context.directory.kind_of(person.user)
    context.store.put(key, kind.value, ttl_ms=KIND_MS)
    return kind
