"""The form that `/deploy` opens. Submitting it runs the command that it shows, so that people learn
to type it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from bot.commands.deploy_form import DeployForm, KnownVersion
from bot.commands.table import Names
from bot.releases.facts.target import Strategy
from bot.slack.blocks.elements import Block, context, section
from bot.slack.markup import code, cut, plain

CALLBACK = "deploy"
OPTIONS = 100
MAX_OPTION = 75  # what an option of a select holds
SHOWN = 20
MAX_REASON = 300
_STRATEGY_TEXT = {
    Strategy.ROLLING: "rolling: pod by pod",
    Strategy.CANARY: "canary: a share of traffic first",
    Strategy.BLUEGREEN: "blue/green: all at once, with a rollback window",
}


def deploy_modal(form: DeployForm, names: Names) -> Mapping[str, Any]:
    blocks = [_app_input(form), *_version_inputs(form)]
    blocks.append(_input("strategy", "Strategy", _strategies(form.strategy), dispatch=True))
    if form.strategy is Strategy.CANARY:
        blocks.append(_steps_input(form))
    blocks.append(_reason_input(form))
    if form.preview:
        head = "*Plan as of now*" if form.computed else "*Outline*"
        lines = (plain(line, 200) for line in form.preview[:SHOWN])
        blocks.append(section("\n".join([head, *lines])))
    # Submitting does exactly what this command does.
    typed = names.typed("deploy") + form.command.removeprefix("deploy")
    blocks.append(context(f"Same as typing: {code(typed, 900)}"))
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "title": {"type": "plain_text", "text": "Deploy"},
        "submit": {"type": "plain_text", "text": "Deploy"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "private_metadata": orjson.dumps({"channel": form.channel, "more": form.more}).decode(),
        "blocks": blocks,
    }


def _app_input(form: DeployForm) -> Block:
    chosen = form.app if form.app in form.apps else ""
    select = _select("deploy_app", form.apps, chosen, "Choose an app")
    return _input("app", "App", select, dispatch=True)


def _version_inputs(form: DeployForm) -> list[Block]:
    """A known version to choose, where there is one, and any version to type."""
    known = {
        one.version: _known_text(one)
        for one in form.known[:OPTIONS]
        if len(one.version) <= MAX_OPTION
    }
    blocks: list[Block] = []
    if known:
        chosen = form.version if form.version in known else ""
        select = _select("deploy_known", tuple(known), chosen, "Recent versions", known)
        blocks.append(_input("known", "Known version", select, dispatch=True, optional=True))
    typed = _text_input(
        "deploy_version",
        max_length=300,
        initial="" if form.version in known else form.version,
        placeholder="2.0.0, sha256:…, or a full image",
    )
    label = "Or another version" if known else "Version"
    hint = "Press Enter to see the plan below."
    version = _input("version", label, typed, dispatch=True, optional=bool(known), hint=hint)
    return [*blocks, version]


def _steps_input(form: DeployForm) -> Block:
    typed = _text_input("deploy_steps", max_length=60, initial=form.steps, placeholder="20,50")
    return _input("steps", "Steps, in percent of traffic", typed, dispatch=True, optional=True)


def _reason_input(form: DeployForm) -> Block:
    typed = _text_input("deploy_reason", max_length=MAX_REASON, initial=form.reason)
    return _input("reason", "Reason", typed, optional=True)


def _text_input(
    action: str, *, max_length: int, initial: str, placeholder: str = ""
) -> Mapping[str, Any]:
    """With a placeholder, Enter redraws the form."""
    element: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": action,
        "max_length": max_length,
    }
    if placeholder:
        element["placeholder"] = {"type": "plain_text", "text": placeholder}
        element["dispatch_action_config"] = {"trigger_actions_on": ["on_enter_pressed"]}
    if initial:
        element["initial_value"] = cut(initial, max_length)
    return element


def read_form(view: Mapping[str, Any], apps: Sequence[str]) -> DeployForm:
    """What has been filled in so far."""
    values: Mapping[str, Any] = view.get("state", {}).get("values", {})

    def text(block: str, action: str) -> str:
        return str((values.get(block, {}).get(action) or {}).get("value") or "").strip()

    def option(block: str, action: str) -> str:
        chosen = (values.get(block, {}).get(action) or {}).get("selected_option") or {}
        return str(chosen.get("value") or "")

    strategy = option("strategy", "deploy_strategy")
    kept = orjson.loads(view.get("private_metadata") or "{}")
    return DeployForm(
        apps=tuple(apps),
        app=option("app", "deploy_app"),
        version=text("version", "deploy_version") or option("known", "deploy_known"),
        strategy=(
            Strategy(strategy) if strategy in {s.value for s in Strategy} else Strategy.ROLLING
        ),
        steps=text("steps", "deploy_steps"),
        reason=text("reason", "deploy_reason"),
        more=str(kept.get("more", "")),
        channel=str(kept.get("channel", "")),
    )


def app_options(apps: Sequence[str], typed: str) -> list[dict[str, Any]]:
    """For a workspace with more apps than a select holds: the apps that contain the typed letters,
    those that begin with them first."""
    wanted = typed.casefold().strip()
    found = [app for app in apps if wanted in app.casefold()]
    return [
        dict(_option(app))
        for app in sorted(found, key=lambda app: (not app.casefold().startswith(wanted), app))[
            :OPTIONS
        ]
    ]


def _known_text(known: KnownVersion) -> str:
    return f"{known.version} (running as {known.where})" if known.where else known.version


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
    """Slack filters up to 100 options as people type; for more it asks the bot (app_options)."""
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
            _option("-", "No apps in the catalog")
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
