"""All rendering behind one object, as bot.operations.context.Render wants it. Holds only how commands are named here."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.commands.table import Names
from bot.operations.invocation import Reply, Tabled
from bot.ports import Message
from bot.releases.events import Event
from bot.releases.model import Release
from bot.slack.blocks import announcements, card, replies
from bot.slack.blocks.tables import as_file


@dataclass(frozen=True)
class SlackRendering:
    apps: tuple[str, ...] = ()  # for examples
    names: Names = field(default_factory=Names)
    approvers: tuple[str, ...] = ()  # ids of people and groups, for reminders

    def card(self, release: Release, *, now: int, first: bool = False) -> Message:
        return card.card(release, now=now, names=self.names, first=first)

    def announcement(self, release: Release, event: Event) -> tuple[Message, bool] | None:
        return announcements.announcement(release, event, self.approvers)

    def reply(self, reply: Reply, *, now: int) -> Message:
        return replies.reply_message(reply, names=self.names, apps=self.apps, now=now)

    def notice(self, line: str) -> Message:
        return replies.notice(line)

    def file(self, reply: Tabled) -> str:
        return as_file(reply.tables)
