"""The one table of commands: the source of the parser, the help and the Slack manifest. What each
command needs is in bot.policy.permission_table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from bot.commands.model import (
    Command,
    DeployCommand,
    RolloutCommand,
    RolloutVerb,
)
from bot.policy.decision import Act
from bot.policy.permission_table import WITHOUT_ROLE, command_permission
from bot.policy.permissions import Permission


@dataclass(frozen=True)
class CommandSpec:
    """``usage`` follows the name. ``examples`` hold ``{app}`` in place of an app of the
    workspace."""

    name: str
    usage: str
    summary: str
    seen_by: Literal["channel", "person"]
    examples: tuple[str, ...]
    values: tuple[str, ...] = ()  # options that take a value: reason="…"
    flags: tuple[str, ...] = ()  # options that stand alone
    by_default: bool = False  # registered with Slack without `--commands`


COMMANDS: tuple[CommandSpec, ...] = (
    CommandSpec(
        "deploy",
        "APP VERSION [rolling|canary|bluegreen] [in=CLUSTER,…] [steps=20,50] [hold=2m] [sticky]"
        ' [dry-run] [reason="…"]',
        "Release a version of an app; without a version, open the form",
        "channel",
        ("{app} 2.0.0", "{app} 2.0.0 canary steps=20,50 hold=2m", "{app} 2.0.0 bluegreen dry-run"),
        values=("in", "strategy", "steps", "hold", "reason"),
        flags=("sticky", "dry-run"),
        by_default=True,
    ),
    CommandSpec(
        "scale",
        "APP N [in=CLUSTER]",
        "Set the number of replicas",
        "channel",
        ("{app} 5",),
        values=("in", "replicas", "reason"),
        by_default=True,
    ),
    CommandSpec(
        "rollout",
        "status|history|pause|resume|undo|restart|promote|abort [APP] [in=CLUSTER,…]"
        " [--to-revision N]",
        "Follow, pause, resume, promote or roll back a rollout",
        "channel",
        ("status {app}", "undo {app}", "promote {app}", 'abort {app} reason="error rate"'),
        values=("in", "to-revision", "revision", "reason"),
        flags=("force",),
        by_default=True,
    ),
    CommandSpec(
        "pods",
        "[APP] [in=CLUSTER]",
        "Show which pod runs which image",
        "person",
        ("{app}",),
        values=("in",),
        by_default=True,
    ),
    CommandSpec(
        "get",
        "deployments|replicasets|pods|services|events [APP] [in=CLUSTER] [wide]",
        "Run kubectl get; only you see the reply",
        "person",
        ("deployments", "pods {app} wide", "events {app}"),
        values=("in", "output", "o"),
        flags=("wide",),
    ),
    CommandSpec(
        "explain",
        "PATH [in=CLUSTER] [--recursive]",
        "Explain a field, from the cluster's own API",
        "person",
        ("deployment.spec.strategy", "pod.spec.containers.readinessProbe --recursive"),
        values=("in",),
        flags=("recursive",),
    ),
    CommandSpec(
        "apply",
        "APP [in=CLUSTER]",
        "Create or update an app's objects from its manifests",
        "channel",
        ("{app}",),
        values=("in",),
    ),
    CommandSpec(
        "traffic",
        "APP [in=CLUSTER]",
        "Show which versions serve traffic, and their shares",
        "person",
        ("{app}",),
        values=("in",),
    ),
    CommandSpec(
        "releases",
        "[APP] [in=CLUSTER]",
        "List the latest releases",
        "person",
        ("", "{app}"),
        values=("in",),
    ),
    CommandSpec(
        "release",
        "ID|LINK|APP [in=CLUSTER] [compare]",
        "Show the story of one release, or compare before and after",
        "person",
        ("{app}-42", "{app}", "{app}-42 compare"),
        values=("in",),
        flags=("compare",),
        by_default=True,
    ),
    CommandSpec(
        "apps",
        "[in=CLUSTER]",
        "List the apps and what each runs",
        "person",
        ("",),
        values=("in",),
    ),
    CommandSpec(
        "whoami",
        "",
        "Show your ids and roles, and whether this channel accepts commands",
        "person",
        ("",),
    ),
    CommandSpec(
        "help",
        "[COMMAND]",
        "List the commands, or explain one",
        "person",
        ("", "deploy"),
    ),
    CommandSpec(
        "freeze",
        'APP|cluster:NAME|LABEL|all reason="…" [until=2h] [running=hold]',
        "Stop new releases of an app, a cluster or everything",
        "channel",
        ('{app} reason="incident"', 'all reason="holidays" until=72h'),
        values=("reason", "until", "cluster", "running"),
    ),
    CommandSpec(
        "unfreeze",
        "APP|cluster:NAME|LABEL|all",
        "Let releases start again",
        "channel",
        ("{app}", "all"),
        values=("cluster", "reason"),
    ),
    CommandSpec(
        "clear",
        'APP [VERSION] [in=CLUSTER] reason="…"',
        "Let machines release an app again after a version of it failed",
        "channel",
        ('{app} reason="the database was full"', '{app} 2.0.0 reason="fixed in the config"'),
        values=("in", "reason"),
    ),
)
BY_NAME: dict[str, CommandSpec] = {spec.name: spec for spec in COMMANDS}
BY_DEFAULT = tuple(spec.name for spec in COMMANDS if spec.by_default)
"""Names registered with Slack unless `pilothouse manifest --commands` says otherwise."""
UMBRELLA = "pilothouse"
"""`/pilothouse COMMAND …` works for every command."""

ROLLOUT_VERBS: dict[str, RolloutVerb] = {verb: verb for verb in get_args(RolloutVerb)}


def permission_of(command: Command) -> Permission:
    if isinstance(command, RolloutCommand):
        return command_permission(command.kind, command.verb, forced=command.force)
    return command_permission(command.kind)


def act_of(command: Command) -> Act:
    """What the one decision judges."""
    if command.kind in WITHOUT_ROLE:
        return Act(command.kind, None)
    permission = permission_of(command)
    is_dry_run = isinstance(command, DeployCommand) and command.dry_run
    name = command.verb if isinstance(command, RolloutCommand) else command.kind
    return Act(name, permission, permission is not Permission.READ and not is_dry_run)


def answers_channel(command: Command) -> bool:
    """Whether everyone in the channel sees the reply, or only the person who asked."""
    if isinstance(command, RolloutCommand):
        return command.verb not in ("status", "history")
    return BY_NAME[command.kind].seen_by == "channel"


@dataclass(frozen=True)
class Names:
    """How commands are typed in this workspace: only names registered with Slack are ever
    suggested. `/pilothouse` is always registered."""

    installed: Collection[str] = BY_DEFAULT  # names of the table
    prefix: str = ""  # "ph-": /ph-deploy

    def typed(self, name: str) -> str:
        """``/deploy`` where that is registered, else ``/pilothouse deploy``."""
        if name in self.installed:
            return f"/{self.prefix}{name}"
        return f"/{self.prefix}{UMBRELLA} {name}"

    def usage(self, name: str) -> str:
        return f"{self.typed(name)} {BY_NAME[name].usage}".rstrip()

    def example(self, name: str, app: str = "APP") -> str:
        return f"{self.typed(name)} {BY_NAME[name].examples[0].format(app=app)}".rstrip()


def spoken(slash: str, text: str) -> str:
    """``deploy hello 2.0.0`` for `/deploy hello 2.0.0`, with any prefix of the registered name."""
    name = slash.removeprefix("/").lower()
    for known in (UMBRELLA, *sorted(BY_NAME, key=len, reverse=True)):
        if name == known or name.endswith((f"-{known}", f"_{known}")):
            return text.strip() if known == UMBRELLA else f"{known} {text}".strip()
    return f"{name} {text}".strip()


@dataclass(frozen=True)
class KnownNames:
    """The names that a command may use. ``here``: the channel's apps, one of which is meant when no
    app is named. ``clusters_of``: the clusters of each app. ``at``: the cluster of the release in
    whose thread the command stands. ``labels``: those of each cluster."""

    apps: Collection[str]
    here: Collection[str] = ()
    clusters: Collection[str] = ()
    names: Names = field(default_factory=Names)
    clusters_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    at: str = ""
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
