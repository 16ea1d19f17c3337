"""The help, as data: every line of it comes from the table."""

from __future__ import annotations

from dataclasses import dataclass

from bot.commands.table import BY_NAME, COMMANDS, CommandSpec, Names

_WHO = {
    "read": "everyone who may read",
    "deploy": "deployers and admins",
    "approve": "approvers and admins",
    "admin": "admins",
}
_WHO_ROLLS = (
    "everyone who may read (status, history), approvers (promote), deployers and admins (the"
    " others)"
)
_DETAILS: dict[str, tuple[str, ...]] = {
    "deploy": (
        (
            "VERSION is a tag, a digest (sha256:…) or a full image of an allowed repository;"
            " APP:VERSION works as well."
        ),
        "dry-run shows the plan to you alone; nothing changes.",
        (
            "steps, hold and sticky belong to canary. A final 100 is the promotion and may be left"
            " out."
        ),
        "The same command again, while that release runs, returns its card.",
    ),
    "rollout": (
        "status, history, pause, resume, undo and restart mean what they mean in kubectl.",
        (
            "During a release, pause and resume act on it; promote ends a hold or opens the gate,"
            " abort takes everything back."
        ),
        (
            "history --revision N shows one revision with its pod template; undo --to-revision N"
            " goes back to it."
        ),
        (
            "promote needs an approver. abort --force ends a release without touching the cluster,"
            " and needs an admin."
        ),
    ),
    "scale": (
        (
            "N is within the catalog's bounds; refused while half-rolled, or where a"
            " HorizontalPodAutoscaler would take it back."
        ),
    ),
    "pods": (
        "By ReplicaSet, stable and candidate apart, with each one's share of the ready endpoints.",
    ),
    "get": (
        "Short names work: deploy, rs, po, svc, ev.",
        (
            "Without APP: all apps of the channel. Events come newest first. A long list is cut,"
            " counted, and offered as a file."
        ),
    ),
    "explain": (
        (
            "Custom resources, short names and any letter case work; a wrong path is answered with"
            " the nearest fields."
        ),
        "A long answer comes as a file in your direct messages, its top here.",
    ),
    "apply": (
        (
            "The server's dry run is shown first, with a button to go on; a field that another"
            " manager owns is named and never taken."
        ),
        (
            "The button is for what was shown: whatever changed since, a Secret's values too, is"
            " named and shown again."
        ),
        (
            "On a Deployment that exists image and number of pods are kept; any other change of its"
            " pods runs as a rolling release."
        ),
        (
            "Every kind that the cluster serves is taken, as far as the bot may write it. Contents"
            " of Secrets are never shown."
        ),
    ),
    "traffic": (
        (
            "With a probe in the catalog the app itself is asked, and the versions that answered"
            " are counted."
        ),
    ),
    "freeze": (
        "until is a duration (2h) or a time (2026-12-31T18:00Z).",
        "During a freeze a release needs an admin and a reason; undo goes on.",
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
    seen = (
        "everyone in the channel sees the answer"
        if spec.seen_by == "channel"
        else "only you see the answer"
    )
    who = _WHO_ROLLS if name == "rollout" else _WHO[spec.permission]
    return HelpEntry(
        names.usage(name),
        spec.summary,
        _examples(spec, names, app),
        _DETAILS.get(name, ()),
        seen,
        who,
    )


def overview(names: Names) -> tuple[tuple[str, str], ...]:
    """(usage, summary) of every command, in the table's order."""
    return tuple((names.usage(spec.name), spec.summary) for spec in COMMANDS)


def _examples(spec: CommandSpec, names: Names, app: str) -> tuple[str, ...]:
    return tuple(
        f"{names.typed(spec.name)} {text.format(app=app)}".rstrip() for text in spec.examples
    )
