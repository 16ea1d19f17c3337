"""views.*."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.platform import Platform
from sandbox.slack.rate_limits import TIER_4
from sandbox.slack.web_api.methods import method, required

Json = dict[str, Any]


def _view(arguments: Json) -> Json:
    view = arguments.get("view")
    if not isinstance(view, dict):
        raise SlackError("invalid_arguments", ["[ERROR] missing required field: view"])
    return view


@method("views.open", rate=TIER_4)
def open_view(platform: Platform, arguments: Json) -> Json:
    view = _view(arguments)
    trigger = platform.grants.use_trigger(required(arguments, "trigger_id"))
    return {"view": platform.views.open(trigger.user_id, view)}


@method("views.push", rate=TIER_4)
def push_view(platform: Platform, arguments: Json) -> Json:
    view = _view(arguments)
    trigger = platform.grants.use_trigger(required(arguments, "trigger_id"))
    return {"view": platform.views.push(trigger.user_id, view)}


@method("views.update", rate=TIER_4)
def update_view(platform: Platform, arguments: Json) -> Json:
    view_id = arguments.get("view_id") or arguments.get("external_id")
    if not view_id:
        raise SlackError("invalid_arguments", ["[ERROR] missing required field: view_id"])
    return {"view": platform.views.update(str(view_id), _view(arguments), arguments.get("hash"))}


@method("views.publish", rate=TIER_4)
def publish_view(platform: Platform, arguments: Json) -> Json:
    person = platform.workspace.person(required(arguments, "user_id"))
    return {"view": platform.views.publish_home(person.id, _view(arguments), arguments.get("hash"))}
