"""The `/deploy` form: what it shows, and the command that it types."""

from __future__ import annotations

from dataclasses import dataclass

from bot.releases.facts.target import Strategy


@dataclass(frozen=True)
class KnownVersion:
    """``where``: what else runs it, "" for one of the app's own history."""

    version: str
    where: str = ""


@dataclass(frozen=True)
class DeployForm:
    """What the `/deploy` form shows and holds. ``known``: versions of the chosen app, newest first,
    then what runs elsewhere."""

    apps: tuple[str, ...]
    app: str = ""
    known: tuple[KnownVersion, ...] = ()
    version: str = ""
    strategy: Strategy = Strategy.ROLLING
    steps: str = ""
    reason: str = ""
    more: str = ""  # options that the form has no field for, as typed: hold=2m sticky
    channel: str = ""
    preview: tuple[str, ...] = ()  # what the release would do, one line a step
    # the preview is the plan, computed against the cluster; else the outline by the catalog
    computed: bool = False

    @property
    def command(self) -> str:
        """What would be typed: ``deploy hello 2.0.0 canary steps=20,50 reason="…"``."""
        words = ["deploy", self.app or "APP", self.version or "VERSION", self.strategy.value]
        if self.steps and self.strategy is Strategy.CANARY:
            words.append(f"steps={self.steps.replace(' ', '')}")
        if self.more:
            words.append(self.more)
        if self.reason:
            words.append('reason="' + " ".join(self.reason.split()).replace('"', "'") + '"')
        return " ".join(words)
