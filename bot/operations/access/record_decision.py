"""Every decision on what someone asks is in the audit: before what is allowed is done, with its
outcome after; and what is refused, counted where it is repeated."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from bot.operations.access.places import place_of_command
from bot.operations.access.roles import known_roles
from bot.operations.context import Context
from bot.operations.replies import Refusal, Reply
from bot.operations.requests import BUTTON, Click, Invocation
from bot.policy.decision import Act, Asker, Denied, Rule, place_of_target
from bot.policy.permissions import WORKSPACE, Place, is_direct
from bot.ports import AuditLine, StoreUnavailable
from bot.query import PreviewCommand, Query
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.request_id import current_work

log = logging.getLogger(__name__)

EFFECT_PATH = "worker"
"""Asked again by a worker, right before the effect."""
_WITHOUT_ROLES = frozenset({Rule.WORKSPACE.value, Rule.IDENTITY.value, Rule.STRANGER.value})
_BY_ACTION = {"go_on": "confirmation", "meant": "suggestion"}


@dataclass(frozen=True)
class Asked:
    """What someone asks for. ``path``: by which way. ``text``: the command as it was typed.
    ``place``: where their roles count."""

    person: Person
    act: Act
    path: str
    channel: str = ""
    text: str = ""
    app: str = ""
    release_id: str = ""
    plan: str = ""
    place: Place = WORKSPACE


def path_of(invocation: Invocation) -> str:
    if invocation.command == BUTTON:
        return "button"
    if invocation.dedup_key.startswith("meant:"):
        return _BY_ACTION["meant"]
    if invocation.via == "modal":
        return "form" if invocation.channel else "home"
    if is_direct(invocation.channel):
        return "direct message"
    return "thread" if invocation.thread_ts else invocation.via


def path_of_click(click: Click) -> str:
    return _BY_ACTION.get(click.action, "button" if click.channel else "home")


def record_decision(
    context: Context, asked: Asked, refusal: Refusal | None, *, changes: bool = True
) -> None:
    """Before what is allowed is done. What anyone may do is no decision. Raises StoreUnavailable of
    what ``changes`` something: it must not be done unrecorded."""
    if refusal is not None:
        _record_refusal(context, asked, refusal)
    elif asked.act.permission is not None:
        roles = _roles(context, asked)
        try:
            line = _line(context, asked, "allowed", Rule.ROLE.value, roles)
            context.store.write_audit(line, operation=_operation(context, line))
        except StoreUnavailable as away:
            if changes:
                raise
            log.warning("reading by %s is not in the audit: %s", asked.act.name, away)


def record_outcome(context: Context, asked: Asked, reply: Reply) -> None:
    """After the act; it is done, whether or not this can be written."""
    refusal = reply if isinstance(reply, Refusal) else None
    asked = replace(asked, text=refusal.line if refusal else "")
    rule, result = (refusal.rule, "refused") if refusal else ("", "done")
    try:
        line = _line(context, asked, "outcome", rule, "", result)
        context.store.write_audit(line, operation=_operation(context, line))
    except StoreUnavailable as away:
        log.warning("the outcome of %s is not in the audit: %s", asked.act.name, away)


def record_effect(
    context: Context,
    asker: Asker,
    act: Act,
    denied: Denied | None,
    release: Release,
    *,
    operation: str,
) -> None:
    """By a worker, from the roles that Slack gave a moment ago."""
    asked = Asked(
        asker.person,
        act,
        EFFECT_PATH,
        release.channel,
        denied.line if denied else "",
        release.target.app,
        release.id,
        release.plan.hash if release.plan else "",
        place_of_target(release.target),
    )
    _record_effect(context, asked, asker, denied, operation)


def record_query(
    context: Context, asker: Asker, act: Act, denied: Denied | None, query: Query
) -> None:
    """As ``record_effect``, of a change without a release."""
    app = next((one.partition(" ")[0] for one in query.apps), "")
    text = denied.line if denied else query.text
    place = (
        WORKSPACE
        if isinstance(query.command, PreviewCommand)
        else place_of_command(context.catalog, query.command)
    )
    asked = Asked(asker.person, act, EFFECT_PATH, query.reply_to.channel, text, app, place=place)
    key = query.dedup_key or context.runtime.new_id()
    _record_effect(context, asked, asker, denied, f"audit:{act.name}:{EFFECT_PATH}:{key}")


def _record_effect(
    context: Context, asked: Asked, asker: Asker, denied: Denied | None, operation: str
) -> None:
    rule = denied.rule if denied else Rule.ROLE
    kind = "refused" if denied else "allowed"
    line = _line(
        context,
        asked,
        kind,
        rule.value,
        _in_order(asker.roles(context.catalog.access, asked.place)),
    )
    context.store.write_audit(line, operation=operation)


def _record_refusal(context: Context, asked: Asked, refusal: Refusal) -> None:
    rule = refusal.rule or Rule.THING.value
    roles = "" if rule in _WITHOUT_ROLES else _roles(context, asked)
    same_as = f"{rule} {asked.act.name} {asked.app or asked.release_id} {asked.path}"
    try:
        line = _line(context, asked, "refused", rule, roles)
        context.store.write_refusal(line, same_as=same_as, operation=_operation(context, line))
    except StoreUnavailable as away:  # nothing is done, and the person still reads why
        log.warning("the refusal of %s is not in the audit: %s", asked.act.name, away)


def _line(
    context: Context, asked: Asked, kind: str, rule: str, roles: str, result: str = ""
) -> AuditLine:
    return AuditLine(
        context.store.now(),
        asked.release_id,
        asked.app,
        f"{kind} {asked.act.name}",
        asked.text,
        asked.person.user,
        current_work().request,
        name=asked.person.name,
        team=asked.person.team,
        roles=roles,
        rule=rule,
        channel=asked.channel,
        path=asked.path,
        plan=asked.plan,
        result=result,
    )


def _operation(context: Context, line: AuditLine) -> str:
    """A request that Slack sends again is recorded once."""
    if not line.request_id:
        return context.runtime.new_id()
    return f"audit:{line.request_id}:{line.kind}:{line.path}"


def _roles(context: Context, asked: Asked) -> str:
    try:
        return _in_order(known_roles(context, asked.person, asked.place))
    except StoreUnavailable:
        return ""


def _in_order(roles: frozenset[str]) -> str:
    return ",".join(sorted(roles))
