"""The roles of a person: from what is known, or as Slack has them now."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from bot.operations.context import Context
from bot.policy.decision import Asker
from bot.policy.permissions import WORKSPACE, PersonKind, Place, Role
from bot.ports import SlackUnavailable, StoreUnavailable
from bot.releases.facts.ages import moment
from bot.releases.facts.people import Person

log = logging.getLogger(__name__)

MEMBERS = "members of the catalog's groups"
LAST_MEMBERS = "members of the catalog's groups, with the time of reading"
LAST_KIND = "last kind of"
HOME = "the workspace of this app"
READING = "someone reads the members of the catalog's groups"
CLOSED = "Slack asked for a pause before groups are read again"
FRESH_MS = 6_000
KIND_MS = 20_000
KIND_FOR_READING_MS = 600_000
LAST_KNOWN_MS = 86_400_000
READ_AGAIN_MS = 3_600_000
"""Without any release, the memberships of the last day are still known."""
READING_MS = 15_000  # longer than Slack may take
READ_BY_ANOTHER_MS = 500
READ_BESIDE_S = 1.0


class BeingRead(SlackUnavailable):
    """Another process reads the groups: ask again in a moment."""


def known_asker(
    context: Context, person: Person, kind_within_ms: int = KIND_FOR_READING_MS
) -> Asker:
    """For the acknowledgement, from what is cached or was last known: a listener never waits for
    Slack. What changes production asks again before its effect."""
    try:
        home = home_team(context)
    except SlackUnavailable:
        home = ""
    if person.caller:
        return _asker_by_token(context, person, home)
    try:
        groups = _groups(context, person)
    except SlackUnavailable:
        return replace(last_known(context, person), home=home, note="")
    # Accounts return and guests become members: a kind that was read longer ago refuses no one, as
    # one that was never read.
    kind = _kind_read(context, person, kind_within_ms) or PersonKind.MEMBER
    return Asker(person, home, groups, kind)


def _asker_by_token(context: Context, person: Person, home: str) -> Asker:
    """Whom a machine claims to act for lends it nothing: a token starts releases, in its scope, and
    overrides no freeze."""
    return Asker(person, home, caller=context.catalog.callers.get(person.caller))


def known_roles(context: Context, person: Person, place: Place = WORKSPACE) -> frozenset[Role]:
    """Cached or last known."""
    return known_asker(context, person).roles(context.catalog.access, place)


def last_known(context: Context, person: Person) -> Asker:
    """For what makes production safer while Slack is away: groups and kind as any process read them
    last, at most 24 h ago. Of someone whose kind is unknown only what the catalog gives by name
    counts."""
    members = _kept(context, LAST_MEMBERS)
    kind = _kept(context, f"{LAST_KIND} {person.user}")
    asker = _at_home(
        person,
        _groups_in(members["groups"], person.user) if members else frozenset(),
        PersonKind(kind["kind"]) if kind else PersonKind.GUEST,
    )
    read = members if context.catalog.access.needs_groups else kind
    if read is None:
        return replace(asker, note="by the catalog alone; Slack did not answer")
    at = moment(read["at"])
    return replace(asker, note=f"by the memberships of {at}; Slack did not answer")


def asker_now(context: Context, person: Person, *, makes_safer: bool) -> Asker:
    """Before an effect: as Slack has it now, or as last known where the effect makes production
    safer. Raises SlackUnavailable."""
    if person.caller:
        return _asker_by_token(context, person, person.team)
    try:
        return fresh_asker(context, person)
    except BeingRead:
        raise
    except SlackUnavailable:
        if not makes_safer:
            raise
    return last_known(context, person)


def fresh_asker(context: Context, person: Person) -> Asker:
    """As Slack has them now, groups seconds old at most. Raises SlackUnavailable: what is older
    moves nothing forward."""
    return _at_home(person, _fresh_groups(context, person), _fresh_kind(context, person))


def fresh_roles(context: Context, person: Person, place: Place = WORKSPACE) -> frozenset[Role]:
    """Raises SlackUnavailable, as ``fresh_asker``."""
    return fresh_asker(context, person).roles(context.catalog.access, place)


@contextmanager
def read_beside(context: Context, person: Person) -> Iterator[None]:
    """Slack is read beside what is done here, so that an effect that follows within seconds finds
    it read. No answer is taken from it: the effect asks by itself, and reports what fails."""
    reading = context.runtime.start(partial(_read_ahead, context, person))
    try:
        yield
    finally:
        context.runtime.wait([reading], READ_BESIDE_S)


def _read_ahead(context: Context, person: Person) -> None:
    with suppress(SlackUnavailable, StoreUnavailable):
        fresh_asker(context, person)


def _at_home(person: Person, groups: frozenset[str], kind: PersonKind) -> Asker:
    """The workspace was compared when the request came in, and people of another have no roles."""
    return Asker(person, person.team, groups, kind)


def is_known(context: Context, person: Person) -> bool:
    """Whether Slack said some minutes ago what kind of account it is."""
    return _kind_read(context, person, KIND_FOR_READING_MS) is not None


def learn_kind(context: Context, person: Person) -> None:
    """For reading, where a role as last known is enough: what the account is was read some minutes
    ago at most, unless Slack is away."""
    if is_known(context, person):
        return
    try:
        _fresh_kind(context, person)
    except SlackUnavailable as away:
        log.warning("what kind of account %s is was not read: %s", person.user, away)


def keep_known(context: Context) -> None:
    """For the sweep: what is needed when Slack goes away was read an hour ago at most."""
    store = context.store
    kept = _kept(context, LAST_MEMBERS)
    if kept is not None and store.now() - kept["at"] < READ_AGAIN_MS:
        return
    try:
        if context.catalog.access.needs_groups:
            _read_for_all(context)
        elif store.peek(HOME) is None:
            store.put(HOME, context.directory.home_team(), ttl_ms=LAST_KNOWN_MS)
    except SlackUnavailable as away:
        log.warning("the members of the catalog's groups were not read: %s", away)


def home_team(context: Context) -> str:
    """The app's own workspace, as last known while Slack is away. Raises SlackUnavailable."""
    try:
        return context.directory.home_team()
    except SlackUnavailable:
        try:
            kept = context.store.peek(HOME)
        except StoreUnavailable:
            kept = None
        if not kept:
            raise
        return kept


def _groups(context: Context, person: Person) -> frozenset[str]:
    if not context.catalog.access.needs_groups:
        return frozenset()
    return context.directory.groups_of(person.user)


def _kept(context: Context, key: str) -> dict[str, Any] | None:
    try:
        kept = context.store.peek(key)
    except StoreUnavailable:
        return None
    return json.loads(kept) if kept is not None else None


def _kind_read(context: Context, person: Person, within_ms: int) -> PersonKind | None:
    kept = _kept(context, f"{LAST_KIND} {person.user}")
    if kept is None or context.store.now() - kept["at"] >= within_ms:
        return None
    return PersonKind(kept["kind"])


def _groups_in(groups: Mapping[str, list[str]], user: str) -> frozenset[str]:
    return frozenset(group for group, users in groups.items() if user in users)


def _fresh_groups(context: Context, person: Person) -> frozenset[str]:
    """One read serves all processes for some seconds: Slack allows 20 reads a minute, and forty
    releases may start at once."""
    if not context.catalog.access.needs_groups:
        return frozenset()
    kept = context.store.peek(MEMBERS)
    if kept is None:
        kept = _read_for_all(context)
    return _groups_in(json.loads(kept), person.user)


def _read_for_all(context: Context) -> str:
    store = context.store
    if (closed := store.peek(CLOSED)) is not None:
        left = int(closed) - store.now()
        raise SlackUnavailable("Slack asked for a pause before groups are read again", max(left, 1))
    if not store.put_new(READING, context.runtime.new_id(), ttl_ms=READING_MS):
        raise BeingRead("another process reads the groups", READ_BY_ANOTHER_MS)
    try:
        groups = _named_groups(context, context.directory.memberships())
        kept = json.dumps(groups)
        store.put(MEMBERS, kept, ttl_ms=FRESH_MS)
        _keep_for_a_day(context, LAST_MEMBERS, groups=groups)
        store.put(HOME, context.directory.home_team(), ttl_ms=LAST_KNOWN_MS)
        return kept
    except SlackUnavailable as away:
        if away.retry_after_ms:
            until = store.now() + away.retry_after_ms
            store.put(CLOSED, str(until), ttl_ms=away.retry_after_ms)
        raise
    finally:
        store.take(READING)


def _named_groups(
    context: Context, members: Mapping[str, frozenset[str]]
) -> Mapping[str, list[str]]:
    named = sorted(context.catalog.access.named_groups)
    return {group: sorted(members.get(group, ())) for group in named}


def _keep_for_a_day(context: Context, key: str, **found: Any) -> None:
    document = json.dumps({"at": context.store.now(), **found})
    context.store.put(key, document, ttl_ms=LAST_KNOWN_MS)


def _fresh_kind(context: Context, person: Person) -> PersonKind:
    key = f"kind of {person.user}"
    kept = context.store.peek(key)
    if kept is not None:
        return PersonKind(kept)
    kind = context.directory.kind_of(person.user)
    context.store.put(key, kind.value, ttl_ms=KIND_MS)
    _keep_for_a_day(context, f"{LAST_KIND} {person.user}", kind=kind.value)
    return kind
