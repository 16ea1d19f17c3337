"""`/rollout pause` and `resume` of a Deployment that no release holds: one tested patch,
audited before it is sent."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.operations.queries.list_apps import running_release
from bot.operations.queries.observe_app import observe_app
from bot.operations.replies import Refusal, Reply, TextReply
from bot.ports import AuditLine, PreconditionFailed
from bot.releases.facts.actions import FieldChange, PatchDeployment
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.people import Person

ATTEMPTS = 3


def pause_deployment(context: Context, app: App, by: Person, *, paused: bool) -> Reply:
    """Raises ClusterUnreachable, Refused."""
    word, operation = "paused" if paused else "resumed", context.runtime.new_id()
    for _ in range(ATTEMPTS):
        stable = observe_app(context, app).stable
        if stable is None:
            return Refusal(
                f"There is no Deployment `{app.target.deployment}` in namespace"
                f" {app.target.namespace}."
            )
        release = running_release(context, app.target)
        if release is not None and stable.claim == release.id:
            return Refusal(
                f"{stable.name} belongs to release {release.id}: pause or resume the release."
            )
        if stable.paused == paused:
            return Refusal(f"{stable.name} is {'already' if paused else 'not'} paused.")
        change = FieldChange(Field.PAUSED, stable.paused, paused)
        line = AuditLine(
            context.store.now(),
            "",
            app.target.app,
            EventKind.WROTE.value,
            f"patch deployment {stable.name}: {word}",
            by.user,
        )
        context.store.write_audit(line, operation=operation)
        try:
            context.cluster(app.target.cluster).apply(
                app.target, PatchDeployment(stable.name, stable.uid, stable.claim, (change,))
            )
        except PreconditionFailed:
            continue
        return TextReply(f"deployment {stable.name} {word}")
    return Refusal(f"{app.target.deployment} is changing too fast.", "Try again.")
