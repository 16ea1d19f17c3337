"""One local Slack: its state and the parts that act on it, created and reset together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.slack.app_link import AppLink
from sandbox.slack.errors import SlackError
from sandbox.slack.faults import Faults
from sandbox.slack.grants import Grants
from sandbox.slack.journal import Journal
from sandbox.slack.manifest import Manifest
from sandbox.slack.messages import Messages
from sandbox.slack.rate_limits import RateLimits
from sandbox.slack.settings import SlackSettings
from sandbox.slack.stream import Stream
from sandbox.slack.views import Views
from sandbox.slack.workspace import Conversation, Workspace

Json = dict[str, Any]


class Platform:
    """Everything runs on one event loop, so no part takes a lock."""

    def __init__(self, settings: SlackSettings) -> None:
        self.settings = settings
        self.stream = Stream()
        self.journal = Journal(settings.log_size, self.stream)
        self.app = AppLink(settings, self.journal)
        self.faults = Faults()
        self.rate_limits = RateLimits(settings.rate_scale)
        self.manifest = Manifest()
        self.scopes = settings.scopes
        self.is_token_revoked = False
        self.base_url = ""
        """Known once the server listens; response URLs and Socket Mode addresses start with it."""
        self._begin()

    def _begin(self) -> None:
        self.workspace = Workspace(self.settings)
        self.messages = Messages(self.workspace, self.stream)
        self.views = Views(self.workspace, self.stream)
        self.grants = Grants(self.settings)

    def reset(self) -> None:
        """Clears messages, modals, faults, budgets and the log; keeps manifest and connection to
        the app."""
        self._begin()
        self.faults.clear()
        self.is_token_revoked = False
        self.rate_limits.clear()
        self.journal.clear()
        self.stream.publish("reset", {})

    def install(self, manifest: Manifest) -> None:
        self.manifest = manifest
        if manifest.scopes is not None:
            self.scopes = manifest.scopes
        self.stream.publish("workspace", self.describe())

    def change_channel(
        self,
        channel_id: str,
        *,
        name: str | None = None,
        archived: bool | None = None,
        bot_is_member: bool | None = None,
    ) -> Conversation:
        """A new channel is created when it has a name; everyone in this workspace joins it."""
        conversations = self.workspace.conversations
        if channel_id not in conversations and name is not None:
            own = {person.id for person in self.workspace.people.values() if not person.is_stranger}
            conversations[channel_id] = Conversation(channel_id, name, own)
        place = self.workspace.conversation(channel_id)
        if name is not None:
            place.name = name
        if archived is not None:
            place.is_archived = archived
        if bot_is_member is not None:
            (place.members.add if bot_is_member else place.members.discard)(self.workspace.bot.id)
        self.stream.publish("workspace", self.describe())
        return place

    def change_group(self, group_id: str, members: list[str]) -> None:
        group = self.workspace.groups.get(group_id)
        if group is None:
            raise SlackError("no_such_subteam")
        self.workspace.groups[group_id] = replace(group, members=tuple(members))

    def change_person(self, user_id: str, *, is_restricted: bool, is_deleted: bool) -> None:
        person = self.workspace.person(user_id)
        changed = replace(person, is_restricted=is_restricted, is_deleted=is_deleted)
        self.workspace.people[user_id] = changed

    def describe(self) -> Json:
        """The data a page needs to draw the workspace."""
        return {
            "team": {"id": self.settings.team_id, "name": self.settings.team_name},
            "app": {
                "id": self.settings.app_id,
                "name": self.manifest.name or self.settings.app_name,
                "bot_user_id": self.settings.bot_user_id,
                "bot_id": self.settings.bot_id,
            },
            "people": [
                {
                    "id": person.id,
                    "name": person.name,
                    "real_name": person.real_name,
                    "is_bot": person.is_bot,
                    "team_id": person.team_id,
                }
                for person in self.workspace.people.values()
            ],
            "groups": [
                {
                    "id": group.id,
                    "handle": group.handle,
                    "name": group.name,
                    "members": list(group.members),
                }
                for group in self.workspace.groups.values()
            ],
            "channels": [
                {
                    "id": place.id,
                    "name": place.name,
                    "topic": place.topic,
                    "is_im": place.is_im,
                    "is_archived": place.is_archived,
                    "is_shared": place.is_shared,
                    "members": sorted(place.members),
                }
                for place in self.workspace.conversations.values()
            ],
            "commands": [
                {
                    "command": item.command,
                    "description": item.description,
                    "usage_hint": item.usage_hint,
                }
                for item in self.manifest.commands.values()
            ],
            "events": sorted(self.manifest.events),
            "first_commands": list(self.settings.first_commands),
            "transport": self.app.transport,
            "rate_scale": self.rate_limits.scale,
        }
