"""The form that `/deploy` opens: it ends in the same command that could have been typed, and shows it, so that people learn it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from bot.commands.table import Names
from bot.releases.model import Strategy
from bot.slack.blocks.elements import Block, context, section
from bot.slack.markup import code, cut, one_line, plain

CALLBACK = "deploy"
PREVIEW_ACTIONS = ("deploy_app", "deploy_known", "deploy_version", "deploy_strategy", "deploy_steps", "deploy_reason")
OPTIONS = 100
MAX_REASON = 300
_STRATEGY_TEXT = {
    Strategy.ROLLING: "rolling: pod by pod",
    Strategy.CANARY: "canary: a share of the traffic first",
    Strategy.BLUEGREEN: "bluegreen: all at once, with a way back",
}


@dataclass(frozen=True)
class DeployForm:
    """What the form shows and holds. ``versions``: known ones of the chosen app, newest first."""

    apps: tuple[str, ...]
    app: str = ""
    versions: tuple[str, ...] = ()
    version: str = ""
    strategy: Strategy = Strategy.ROLLING
    steps: str = ""
    reason: str = ""
    channel: str = ""
    preview: tuple[str, ...] = ()  # what the release would do, one line a step

    @property
    def command(self) -> str:
        """What would be typed: ``deploy hello 2.0.0 canary steps=20,50 reason="…"``."""
        words = ["deploy", self.app or "APP", self.version or "VERSION", self.strategy.value]
        if self.steps and self.strategy is Strategy.CANARY:
            words.append(f"steps={self.steps.replace(' ', '')}")
        if self.reason:
            words.append('reason="' + one_line(self.reason).replace('"', "'") + '"')
        return " ".join(words)


def deploy_modal(form: DeployForm, names: Names) -> Mapping[str, Any]:
    chosen = form.app if form.app in form.apps else ""
    blocks: list[Block] = [_input("app", "App", _select("deploy_app", form.apps, chosen, "Choose an app"), dispatch=True)]
    if form.versions:
        known = _select("deploy_known", form.versions, form.version if form.version in form.versions else "", "Versions seen lately")
        blocks.append(_input("known", "Known version", known, dispatch=True, optional=True))
    typed: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": "deploy_version",
        "placeholder": {"type": "plain_text", "text": "2.0.0, sha256:…, or a full image"},
        "dispatch_action_config": {"trigger_actions_on": ["on_enter_pressed"]},
        "max_length": 300,
    }
    if form.version and form.version not in form.versions:
        typed["initial_value"] = cut(form.version, 300)
    label = "Or another version" if form.versions else "Version"
    blocks.append(_input("version", label, typed, dispatch=True, optional=bool(form.versions)))
    blocks.append(_input("strategy", "Strategy", _strategies(form.strategy), dispatch=True))
    if form.strategy is Strategy.CANARY:
        steps: dict[str, Any] = {
            "type": "plain_text_input",
            "action_id": "deploy_steps",
            "placeholder": {"type": "plain_text", "text": "20,50"},
            "max_length": 60,
        }
        if form.steps:
            steps["initial_value"] = cut(form.steps, 60)
        blocks.append(_input("steps", "Steps, in percent of the traffic", steps, optional=True))
    reason: dict[str, Any] = {"type": "plain_text_input", "action_id": "deploy_reason", "max_length": MAX_REASON}
    if form.reason:
        reason["initial_value"] = cut(form.reason, MAX_REASON)
    blocks.append(_input("reason", "Reason", reason, optional=True))
    if form.preview:
        blocks.append(section("\n".join(plain(line, 200) for line in form.preview[:20])))
    slash = form.command.removeprefix("deploy")
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
        strategy=Strategy(strategy) if strategy in {s.value for s in Strategy} else Strategy.ROLLING,
        steps=text("steps", "deploy_steps"),
        reason=text("reason", "deploy_reason"),
        channel=str(orjson.loads(view.get("private_metadata") or "{}").get("channel", "")),
    )


def with_app(form: DeployForm, app: str, versions: Sequence[str], preview: Sequence[str]) -> DeployForm:
    known = tuple(dict.fromkeys(version for version in versions if 0 < len(version) <= 75))
    return replace(form, app=app, versions=known[:OPTIONS], preview=tuple(preview))


def _input(block: str, label: str, element: Mapping[str, Any], *, dispatch: bool = False, optional: bool = False) -> Block:
    result: dict[str, Any] = {
        "type": "input",
        "block_id": block,
        "label": {"type": "plain_text", "text": label},
        "element": element,
        "optional": optional,
    }
    return {**result, "dispatch_action": True} if dispatch else result


def _option(value: str, text: str = "") -> Mapping[str, Any]:
    return {"text": {"type": "plain_text", "text": cut(text or value, 75)}, "value": value}


def _select(action: str, values: Sequence[str], chosen: str, hint: str) -> Mapping[str, Any]:
    """Slack filters a select's options as people type. Beyond its 100 options the rest is still reached by typing the command."""
    shown = list(values[:OPTIONS])
    if chosen and chosen not in shown:
        shown[-1] = chosen
    result: dict[str, Any] = {
        "type": "static_select",
        "action_id": action,
        "placeholder": {"type": "plain_text", "text": hint},
        "options": [_option(value) for value in shown] or [_option("-", "no app in the catalog")],
    }
    return {**result, "initial_option": _option(chosen)} if chosen else result


def _strategies(chosen: Strategy) -> Mapping[str, Any]:
    options = {strategy: _option(strategy.value, text) for strategy, text in _STRATEGY_TEXT.items()}
    return {
        "type": "radio_buttons",
        "action_id": "deploy_strategy",
        "options": list(options.values()),
        "initial_option": options[chosen],
    }
