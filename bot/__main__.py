"""The command line. Subcommands are entry points of the group `pilothouse.commands`, so bot imports
neither jobs nor sandbox."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from importlib.metadata import EntryPoint, entry_points, version

PURPOSES = {
    "adopt": "find and end claims that a lost Redis left in the clusters",
    "audit": "who did what: verify it, show it, export it (verify --witness FILE)",
    "bot": "take what comes in from Slack, and reply",
    "check": "find every mistake in a catalog, with its line",
    "deploy": "start a release through the API and follow it, for CI (--wait)",
    "doctor": "find what keeps an installation from working",
    "init": "write catalog, Slack manifest and chart values for what runs in a cluster",
    "manifest": "print the Slack app manifest",
    "openapi": "print the description of the API for machines (OpenAPI)",
    "release": "show one release: its steps, its traffic, its pods (--watch, --compare)",
    "releases": "list running and recent releases (--watch)",
    "sandbox": "try everything here: local Slack, simulated cluster, bot and worker",
    "sbom": "print the software bill of materials (CycloneDX)",
    "schema": "print the JSON schema of the catalog, for editors",
    "watcher": "watch the clusters and wake the releases that a change is about",
    "worker": "carry the releases out, and reply to questions",
}
"""What each command is for, in the words of the usage."""
GROUP = "pilothouse.commands"
_INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""


def main(argv: Sequence[str] | None = None) -> int:
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # before the command handles signals itself: no traceback
        return _INTERRUPTED


def _run(words: list[str]) -> int:
    commands: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=GROUP)}
    if words[:1] == ["--version"]:
        print(f"pilothouse {version('pilothouse')}")
        return 0
    if not words or words[0] in ("-h", "--help", "help"):
        print("\n".join(["usage: pilothouse COMMAND", "", "commands:", *_purposes(commands)]))
        return 0 if words else 2
    name, rest = words[0], words[1:]
    if name not in commands:
        from config.nearest import nearest  # imports a library: the rest starts faster without it

        close = nearest(name, list(commands))
        hint = (
            f"; did you mean `{close}`?"
            if close
            else f"; the commands are {', '.join(sorted(commands))}"
        )
        print(f"pilothouse: no command `{name}`{hint}", file=sys.stderr)
        return 2
    try:
        run = commands[name].load()
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] in ("bot", "jobs", "config"):
            raise
        print(
            f"pilothouse {name} needs the module `{missing.name}`: install `pilothouse[sandbox]`",
            file=sys.stderr,
        )
        return 2
    return int(run(rest) or 0)


def _purposes(commands: Collection[str]) -> list[str]:
    width = max(len(name) for name in commands)
    return [f"  {name:<{width}}  {PURPOSES.get(name, '')}".rstrip() for name in sorted(commands)]


if __name__ == "__main__":
    sys.exit(main())
