"""What a person may see outside a channel: releases and apps of the channels they are in, and their
own releases."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release


class Visibility:
    def __init__(self, person: Person, channels: frozenset[str]) -> None:
        self._person, self._channels = person, channels

    def covers_release(self, release: Release) -> bool:
        return release.channel in self._channels or release.requested_by == self._person

    def covers_app(self, app: App) -> bool:
        """An app without a channel of its own is released in any."""
        return not app.channel or app.channel in self._channels


def visible_to(context: Context, person: Person) -> Visibility:
    """Raises SlackUnavailable: nobody sees more because Slack is away."""
    return Visibility(person, context.directory.channels_of(person.user))
