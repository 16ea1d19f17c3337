"""The one table of what each command and each button of a card needs.

docs/reference/permissions.md prints it. Rules that depend on the release, such as who may open its
gate, refine it: see bot.policy.approvals.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.policy.permissions import Permission

COMMANDS: Mapping[str, Permission] = {
    "deploy": Permission.DEPLOY,
    "scale": Permission.DEPLOY,
    "rollout": Permission.READ,  # to see it; its verbs follow
    "pods": Permission.READ,
    "get": Permission.READ,
    "explain": Permission.READ,
    "apply": Permission.DEPLOY,
    "traffic": Permission.READ,
    "releases": Permission.READ,
    "release": Permission.READ,
    "apps": Permission.READ,
    "whoami": Permission.READ,
    "help": Permission.READ,
    "freeze": Permission.DEPLOY,
    "unfreeze": Permission.DEPLOY,
    "clear": Permission.DEPLOY,
}
ROLLOUT_VERBS: Mapping[str, Permission] = {
    "status": Permission.READ,
    "history": Permission.READ,
    "pause": Permission.DEPLOY,
    "resume": Permission.DEPLOY,
    "undo": Permission.DEPLOY,
    "restart": Permission.DEPLOY,
    "promote": Permission.APPROVE,
    "abort": Permission.DEPLOY,
}
FORCED = Permission.ADMIN
"""For `/rollout abort --force`, which ends a release without touching the cluster."""
WITHOUT_ROLE = frozenset({"whoami", "help"})
"""Taken from anyone of the workspace, in any channel: they say how to get a role."""
BUTTONS: Mapping[str, Permission] = {
    "approve": Permission.APPROVE,
    "promote": Permission.APPROVE,
    "reject": Permission.APPROVE,
    "pause": Permission.DEPLOY,
    "resume": Permission.DEPLOY,
    "abort": Permission.DEPLOY,
    "finish": Permission.DEPLOY,
    "adopt": Permission.DEPLOY,
    "replace": Permission.DEPLOY,
}
"""By the action of the button; every button of a card is one of these."""
SAFER = frozenset({"pause", "abort", "reject", "undo", "freeze"})
"""They stop what runs, or take it back: while Slack does not answer, the last memberships do."""
GATE_BUTTONS = frozenset({"approve", "promote"})
"""They open a gate, which may ask for more, or for less: see refusal_to_approve."""


def permission_to_ask(act: str) -> Permission:
    """``act``: the action of a button, or a verb of `/rollout`, which may have no button. Raises
    KeyError for neither."""
    return BUTTONS[act] if act in BUTTONS else ROLLOUT_VERBS[act]


def command_permission(name: str, verb: str = "", *, forced: bool = False) -> Permission:
    """Raises KeyError for a command or a verb that does not exist."""
    if forced:
        return FORCED
    return ROLLOUT_VERBS[verb] if verb else COMMANDS[name]
