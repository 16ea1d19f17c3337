"""A tick that raises, time after time: the release ends with a report instead of holding its app's
lock in silence."""

from __future__ import annotations

import logging
from dataclasses import replace

from bot.operations.context import Context, new_log_id
from bot.operations.lifecycle.observe_end import Waits, observe_end
from bot.ports import (
    ChannelUnavailable,
    ClusterUnreachable,
    RateLimited,
    SlackUnavailable,
    StoreUnavailable,
)
from bot.releases.engine.decision import Decision
from bot.releases.engine.give_up import give_up
from bot.releases.facts.release import Release, RepeatedError

log = logging.getLogger(__name__)

TRIES = 6
FOR_AT_LEAST_MS = 30_000
"""Each try comes later than the one before it; both must be over."""
_OUTAGES = (
    ChannelUnavailable,
    ClusterUnreachable,
    RateLimited,
    SlackUnavailable,
    StoreUnavailable,
)
"""What ends by itself, and is no error of ours."""


def meet_error(context: Context, release_id: str, error: Exception) -> bool:
    """Whether the release ended or began to roll back: then the tick is done. Otherwise the job
    fails with the error, and runs again later."""
    if isinstance(error, _OUTAGES):
        return False
    release, now = context.store.load(release_id), context.store.now()
    before = release.errors or RepeatedError(0, now)
    met = replace(before, count=before.count + 1)
    if met.count < TRIES or now - met.since < FOR_AT_LEAST_MS:
        _save(context, replace(release, errors=met))
        return False
    log_id = new_log_id(context)
    log.error("gave up on %s, logged as %s", release_id, log_id, exc_info=error)
    why = f"an error of Pilothouse repeats ({type(error).__name__}, logged as {log_id})"
    decision = _observed(context, release, give_up(release, why, now))
    context.store.save(decision.release, decision.events, operation=context.runtime.new_id())
    return True


def _observed(context: Context, release: Release, ended: Decision) -> Decision:
    """As far as the cluster can still be observed: what repeats may come from there."""
    try:
        observed = observe_end(context, release, ended)
    except Exception:  # logged with its traceback; the release must end all the same
        log.exception("the end of %s could not be observed", release.id)
        return ended
    return ended if isinstance(observed, Waits) else observed


def forget_errors(context: Context, before: Release) -> None:
    """The tick went well. ``before``: as it was loaded."""
    if before.errors is None:
        return
    release = context.store.load(before.id)
    if release.errors is not None:
        _save(context, replace(release, errors=None))


def _save(context: Context, release: Release) -> None:
    context.store.save(release, (), operation=context.runtime.new_id(), card=False)
