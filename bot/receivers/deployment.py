"""What GitHub and GitLab share: a release is a deployment of a commit, in an environment for each
app and cluster."""

from __future__ import annotations

from dataclasses import dataclass

from bot.ports import Happened, ReceiverRefused
from bot.releases.facts.changes import Deploy
from bot.releases.facts.release import Phase, Release


@dataclass(frozen=True)
class Words:
    """A service's own: it is asked for, runs, and ends; ``stopped``: by people."""

    created: str
    runs: str
    succeeded: str
    failed: str
    stopped: str

    def of(self, happened: Happened) -> str:
        match happened.line.kind:
            case "created":
                return self.created
            case "finished":
                return self._of_end(happened.release.phase)
            case _:
                return self.runs

    def _of_end(self, phase: Phase) -> str:
        match phase:
            case Phase.SUCCEEDED:
                return self.succeeded
            case Phase.FAILED | Phase.ROLLED_BACK:
                return self.failed
            case _:
                return self.stopped


def is_deployment(happened: Happened) -> bool:
    """Other changes than a deployment have no commit, and are not told."""
    return isinstance(happened.release.change, Deploy)


def environment(release: Release) -> str:
    return f"{release.target.cluster}/{release.target.app}"


def unknown_version(release: Release, refused: ReceiverRefused) -> ReceiverRefused:
    return ReceiverRefused(
        f"{refused}: is `{release.to_version}` a tag, a branch or a commit there?"
    )
