"""The help, as data. Usage, summaries and examples come from the table."""

from __future__ import annotations

from dataclasses import dataclass

from bot.commands.table import BY_NAME, COMMANDS, CommandSpec, Names
from bot.policy.permission_table import command_permission
from bot.policy.permissions import Permission

_WHO = {
    Permission.READ: "everyone who may read",
    Permission.DEPLOY: "deployers and admins",
    Permission.APPROVE: "approvers and admins",
    Permission.ADMIN: "admins",
}
_WHO_ROLLS = (
    "everyone who may read (status, history), approvers (promote), deployers and admins (the"
    " others)"
)
_SEEN_BY = {
    "channel": "Everyone in the channel sees the reply.",
    "person": "Only you see the reply.",
}
_DETAILS: dict[str, tuple[str, ...]] = {
    "deploy": (
        (
            "VERSION is a tag, a digest (sha256:…) or a full image from an allowed repository."
            " APP:VERSION also works."
        ),
        "dry-run shows you the plan; nothing changes.",
        (
            "steps, hold and sticky are for canary releases. A final 100 means promotion and can"
            " be left out."
        ),
        (
            "An app in several clusters gets the version in the catalog's waves; in=eu,us-east or"
            " in=region:eu means some of them."
        ),
        "Repeating the command while its release runs returns that release's card.",
    ),
    "rollout": (
        "status, history, pause, resume, undo and restart work as in kubectl.",
        "status links the card of a running release, with a button that brings it down.",
        ("For an app in several clusters they mean the fleet release; in=CLUSTER means one."),
        (
            "During a release, pause and resume act on the release; promote ends a hold or opens"
            " the gate; abort rolls everything back."
        ),
        (
            "history --revision N shows one revision and its pod template; undo --to-revision N"
            " returns to it."
        ),
        (
            "history of one app has a button for each healthy earlier revision, void once"
            " anything changed."
        ),
        (
            "promote needs an approver. abort --force ends a release without touching the"
            " cluster and needs an admin."
        ),
    ),
    "scale": (
        (
            "N must be within the catalog's bounds. Refused while a rollout is unfinished, or"
            " where a HorizontalPodAutoscaler would override it."
        ),
    ),
    "pods": (
        (
            "Grouped by ReplicaSet, stable and candidate apart, with each one's share of the"
            " ready endpoints."
        ),
    ),
    "get": (
        "Short names work: deploy, rs, po, svc, ev.",
        (
            "Without APP: all apps of the channel. Events are listed newest first. A long list"
            " is cut, counted, and offered as a file."
        ),
    ),
    "explain": (
        (
            "Custom resources, short names and any letter case work. For a wrong path, the reply"
            " suggests the nearest fields."
        ),
        "A long reply is cut here and sent in full to your direct messages.",
    ),
    "apply": (
        (
            "Shows the server's dry run first, with a button to continue. Fields owned by"
            " another manager are listed and never taken over."
        ),
        (
            "The button applies only what was shown. If anything has changed since, even a value"
            " in a Secret, the difference is shown again."
        ),
        (
            "An existing Deployment keeps its image and number of pods; any other change to its"
            " pods runs as a rolling release."
        ),
        (
            "Works with every kind that the cluster serves and the bot may write. The contents"
            " of Secrets are never shown."
        ),
    ),
    "release": (
        (
            "Who started it, when and why, its steps with their durations, verdicts, approvals and"
            " pods. A link to its card works in place of the id; APP means the app's last release."
        ),
        (
            "compare shows what differs between before and after in the cluster: images, names of"
            " environment variables, replicas. Values that may be secret are not shown."
        ),
    ),
    "traffic": (
        (
            "With a probe in the catalog, the app itself is asked, and the versions that replied"
            " are counted."
        ),
    ),
    "clear": (
        "After an automatic rollback, callers of the API may not release the app. People may.",
        "The version is no longer marked bad, so that an undo may return to it.",
        "Without VERSION, all its versions that failed are cleared.",
    ),
    "freeze": (
        "until is a duration (2h) or a time (2026-12-31T18:00Z).",
        "During a freeze, a release needs an admin and a reason. Undo still works.",
        "A label such as region:eu means every cluster that has it.",
        "running=hold also holds releases that have begun, before their next step.",
        "The message says until when, and has a button that lifts the freeze.",
    ),
}


@dataclass(frozen=True)
class HelpEntry:
    usage: str
    summary: str
    examples: tuple[str, ...]
    details: tuple[str, ...]
    seen_by: str
    who: str


def help_entry(name: str, names: Names, app: str) -> HelpEntry:
    """Raises KeyError for a name that the table does not hold."""
    spec = BY_NAME[name]
    who = _WHO_ROLLS if name == "rollout" else _WHO[command_permission(name)]
    return HelpEntry(
        names.usage(name),
        spec.summary,
        _examples(spec, names, app),
        _DETAILS.get(name, ()),
        _SEEN_BY[spec.seen_by],
        who,
    )


def overview(names: Names) -> tuple[tuple[str, str], ...]:
    """(usage, summary) of every command, in the table's order."""
    return tuple((names.usage(spec.name), spec.summary) for spec in COMMANDS)


def _examples(spec: CommandSpec, names: Names, app: str) -> tuple[str, ...]:
    return tuple(
        f"{names.typed(spec.name)} {text.format(app=app)}".rstrip() for text in spec.examples
    )
