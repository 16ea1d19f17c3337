"""Continue or Drop, asked of all versions that one release holds: the first of two people decides
for all of them."""

from __future__ import annotations

from bot.operations.context import Context
from bot.operations.lifecycle.control_release import control_release, refusal_while_frozen
from bot.operations.lifecycle.hold_in_queue import decided_key, freeze_of_held
from bot.operations.replies import Refusal, Reply
from bot.operations.requests import Click
from bot.releases.engine.respond import stop_name
from bot.releases.facts.release import Release
from bot.releases.facts.requests import Abort, Resume
from bot.releases.facts.target import Target

DECIDED_MS = 86_400_000


def decide_queue(context: Context, click: Click, of: Target, front: str) -> Reply:
    """``front``: the release that did not succeed. The caller has checked who may ask."""
    held = [
        one
        for one in context.store.active(of.app, of.cluster)
        if one.held and one.held.behind == front
    ]
    if not held:
        return Refusal(f"Nothing is held behind {front} any more.", "See the cards.")
    freeze = freeze_of_held(context, held[0]) if click.action == "resume" else ""
    if freeze:
        return refusal_while_frozen(held[0], freeze)
    if not context.store.put_new(decided_key(front), click.action, ttl_ms=DECIDED_MS):
        return Refusal("Someone else has just decided otherwise.", "See the cards.")
    done = "continuing" if click.action == "resume" else "dropped"
    replies = [_decide(context, click, one, done) for one in held]
    return next((one for one in replies if isinstance(one, Refusal)), replies[0])


def _decide(context: Context, click: Click, release: Release, done: str) -> Reply:
    by, at = click.person, stop_name(release)
    request = Resume(by, at) if click.action == "resume" else Abort(by, at=at)
    return control_release(context, release.id, request, f"{release.id}: {done}")
