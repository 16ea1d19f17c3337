"""The form that `/deploy` opens: it ends in the same command that could have been typed, and shows
it, so that people learn it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from bot.commands.table import Names
from bot.operations.requests import DeployForm, KnownVersion
from bot.releases.facts.target import Strategy
from bot.slack.blocks.elements import Block, context, section
from bot.slack.markup import code, cut, plain

CALLBACK = "deploy"
PREVIEW_ACTIONS = (
    "deploy_app",
    "deploy_known",
    "deploy_version",
    "deploy_strategy",
    "deploy_steps",
    "deploy_reason",
)
OPTIONS = 100
MAX_OPTION = 75  # what an option of a select holds
SHOWN = 20
MAX_REASON = 300
_STRATEGY_TEXT = {
    Strategy.ROLLING: "rolling: pod by pod",
    Strategy.CANARY: "canary: a share of the traffic first",
    Strategy.BLUEGREEN: "bluegreen: all at once, with a way back",
}


def deploy_modal(form: DeployForm, names: Names) -> Mapping[str, Any]:
    chosen = form.app if form.app in form.apps else ""
    blocks: list[Block] = [
        _input(
            "app", "App", _select("deploy_app", form.apps, chosen, "Choose an app"), dispatch=True
        )
    ]
    known = {
        one.version: _known_text(one)
        for one in form.known[:OPTIONS]
        if len(one.version) <= MAX_OPTION
    }
    if known:
        select = _select(
            "deploy_known",
            tuple(known),
            form.version if form.version in known else "",
            "Versions seen lately",
            known,
        )
        blocks.append(_input("known", "Known version", select, dispatch=True, optional=True))
    typed: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": "deploy_version",
        "placeholder": {"type": "plain_text", "text": "2.0.0, sha256:…, or a full image"},
        "dispatch_action_config": {"trigger_actions_on": ["on_enter_pressed"]},
        "max_length": 300,
    }
    if form.version and form.version not in known:
        typed["initial_value"] = cut(form.version, 300)
    label = "Or another version" if known else "Version"
    blocks.append(
        _input(
            "version",
            label,
            typed,
            dispatch=True,
            optional=bool(known),
            hint="Enter shows the plan below.",
        )
    )
    blocks.append(_input("strategy", "Strategy", _strategies(form.strategy), dispatch=True))
    if form.strategy is Strategy.CANARY:
        steps: dict[str, Any] = {
            "type": "plain_text_input",
            "action_id": "deploy_steps",
            "placeholder": {"type": "plain_text", "text": "20,50"},
            "dispatch_action_config": {"trigger_actions_on": ["on_enter_pressed"]},
            "max_length": 60,
        }
        if form.steps:
            steps["initial_value"] = cut(form.steps, 60)
        blocks.append(
            _input("steps", "Steps, in percent of the traffic", steps, dispatch=True, optional=True)
        )
    reason: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": "deploy_reason",
        "max_length": MAX_REASON,
    }
    if form.reason:
        reason["initial_value"] = cut(form.reason, MAX_REASON)
    blocks.append(_input("reason", "Reason", reason, optional=True))
    if form.preview:
        head = "*The plan, as of now*" if form.computed else "*What it does, in outline*"
        blocks.append(
            section("\n".join([head, *(plain(line, 200) for line in form.preview[:SHOWN])]))
        )
    slash = form.command.removeprefix(
        "deploy"
    )  # what submitting does is what this does, word for word
    blocks.append(context(f"The same, typed: {code(names.typed('deploy') + slash, 900)}"))
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "title": {"type": "plain_text", "text": "Deploy"},
        "submit": {"type": "plain_text", "text": "Deploy"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "private_metadata": orjson.dumps({"channel": form.channel}).decode(),
        "blocks": blocks,
    }


def read_form(view: Mapping[str, Any], apps: Sequence[str]) -> DeployForm:
    """What the person has put in so far."""
    values: Mapping[str, Any] = view.get("state", {}).get("values", {})

    def text(block: str, action: str) -> str:
        return str((values.get(block, {}).get(action) or {}).get("value") or "").strip()

    def option(block: str, action: str) -> str:
        chosen = (values.get(block, {}).get(action) or {}).get("selected_option") or {}
        return str(chosen.get("value") or "")

    strategy = option("strategy", "deploy_strategy")
    return DeployForm(
        apps=tuple(apps),
        app=option("app", "deploy_app"),
        version=text("version", "deploy_version") or option("known", "deploy_known"),
        strategy=(
            Strategy(strategy) if strategy in {s.value for s in Strategy} else Strategy.ROLLING
        ),
        steps=text("steps", "deploy_steps"),
        reason=text("reason", "deploy_reason"),
        channel=str(orjson.loads(view.get("private_metadata") or "{}").get("channel", "")),
    )


def app_options(apps: Sequence[str], typed: str) -> list[dict[str, Any]]:
    """For a workspace with more apps than a select holds: those that have the typed letters, the
    ones that begin with them first."""
    wanted = typed.casefold().strip()
    found = [app for app in apps if wanted in app.casefold()]
    return [
        dict(_option(app))
        for app in sorted(found, key=lambda app: (not app.casefold().startswith(wanted), app))[
            :OPTIONS
        ]
    ]


def _known_text(known: KnownVersion) -> str:
    return f"{known.version} (runs as {known.where})" if known.where else known.version


def _input(
    block: str,
    label: str,
    element: Mapping[str, Any],
    *,
    dispatch: bool = False,
    optional: bool = False,
    hint: str = "",
) -> Block:
    result: dict[str, Any] = {
        "type": "input",
        "block_id": block,
        "label": {"type": "plain_text", "text": label},
        "element": element,
        "optional": optional,
    }
    if hint:
        result["hint"] = {"type": "plain_text", "text": hint}
    return {**result, "dispatch_action": True} if dispatch else result


def _option(value: str, text: str = "") -> Mapping[str, Any]:
    return {"text": {"type": "plain_text", "text": cut(text or value, 75)}, "value": value}


def _select(
    action: str,
    values: Sequence[str],
    chosen: str,
    hint: str,
    texts: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    """Slack filters a select's options as people type, up to 100 of them; beyond that it asks us
    (see app_options)."""
    text = texts or {}
    result: dict[str, Any] = {
        "type": "static_select",
        "action_id": action,
        "placeholder": {"type": "plain_text", "text": hint},
    }
    if len(values) > OPTIONS:
        result |= {"type": "external_select", "min_query_length": 0}
    else:
        result["options"] = [_option(value, text.get(value, "")) for value in values] or [
            _option("-", "no app in the catalog")
        ]
    return {**result, "initial_option": _option(chosen, text.get(chosen, ""))} if chosen else result


def _strategies(chosen: Strategy) -> Mapping[str, Any]:
    options = {strategy: _option(strategy.value, text) for strategy, text in _STRATEGY_TEXT.items()}
    return {
        "type": "radio_buttons",
        "action_id": "deploy_strategy",
        "options": list(options.values()),
        "initial_option": options[chosen],
    }
