"""The workspace: people, user groups, conversations and the messages in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.settings import SlackSettings

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str
    """The handle, as in `@dev1`."""
    real_name: str
    email: str
    team_id: str
    is_admin: bool = False
    is_bot: bool = False
    is_stranger: bool = False
    """Belongs to another workspace and is seen only in shared channels."""
    is_restricted: bool = False
    """A guest."""
    is_deleted: bool = False
    """Deactivated; a client that was open still sends what it is given."""
    tz: str = "UTC"
    tz_offset: int = 0


@dataclass(frozen=True, slots=True)
class UserGroup:
    id: str
    handle: str
    name: str
    members: tuple[str, ...]


@dataclass(slots=True)
class Conversation:
    id: str
    name: str
    members: set[str]
    is_im: bool = False
    is_private: bool = False
    is_archived: bool = False
    is_shared: bool = False
    topic: str = ""
    messages: dict[str, Json] = field(default_factory=dict)
    """By `ts`, oldest first. Ephemeral messages live in `ephemerals`, since no API reads them back.
    """
    ephemerals: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class File:
    id: str
    name: str
    title: str
    length: int
    content: bytes | None = None
    channels: list[str] = field(default_factory=list)
    is_complete: bool = False


def first_people(team_id: str) -> list[Person]:
    def person(user_id: str, name: str, real_name: str, **more: Any) -> Person:
        return Person(
            user_id, name, real_name, f"{name}@example.com", **{"team_id": team_id, **more}
        )

    return [
        person("U0DEV1", "developer", "Developer"),
        person("U0DEV2", "developer2", "Second developer"),
        person("U0MANAGER", "release-manager", "Release manager"),
        person("U0ONCALL", "on-call", "On-call"),
        person("U0ADMIN", "admin", "Admin", is_admin=True),
        person("U0VIEWER", "viewer", "Viewer"),
        person(
            "U0PARTNER", "partner", "Partner of another team", team_id="T0PARTNER", is_stranger=True
        ),
    ]


class Workspace:
    """State only: other modules decide what is allowed and what the app receives."""

    def __init__(self, settings: SlackSettings) -> None:
        self.settings = settings
        crowd = (
            Person(f"U0CROWD{n}", f"crowd{n}", f"Crowd {n}", "", settings.team_id)
            for n in range(settings.crowd)
        )
        self.people = {person.id: person for person in (*first_people(settings.team_id), *crowd)}
        self.bot = Person(
            settings.bot_user_id,
            settings.app_name.lower().replace(" ", "-"),
            settings.app_name,
            "",
            settings.team_id,
            is_bot=True,
        )
        self.people[self.bot.id] = self.bot
        own = {person.id for person in self.people.values() if not person.is_stranger}
        without_bot = own - {self.bot.id}
        self.groups = {
            "S0DEV": UserGroup("S0DEV", "developers", "Developers", ("U0DEV1", "U0DEV2")),
            "S0ONCALL": UserGroup(
                "S0ONCALL", "on-call-group", "On-call group", ("U0ONCALL", "U0DEV2")
            ),
        }
        self.conversations: dict[str, Conversation] = {}
        for conversation in (
            Conversation("C0RELEASES", "releases", set(own), topic="What ships, and how it goes"),
            Conversation("C0RANDOM", "random", set(own), topic="Everything else"),
            Conversation(
                "C0GENERAL", "general", set(without_bot), topic="The app is not a member here"
            ),
            Conversation(
                "C0SHARED",
                "shared",
                {*own, "U0PARTNER"},
                is_shared=True,
                topic="With another workspace",
            ),
        ):
            self.conversations[conversation.id] = conversation
        self.files: dict[str, File] = {}
        self._last_microsecond = 0
        self._next_number = 0
        for user_id in without_bot:
            self.direct_message(user_id)

    def now(self) -> float:
        return self.settings.clock()

    def next_ts(self) -> str:
        """Unique and growing, as Slack's: it is the message's identity within its conversation."""
        self._last_microsecond = max(self._last_microsecond + 1, int(self.now() * 1_000_000))
        return f"{self._last_microsecond // 1_000_000}.{self._last_microsecond % 1_000_000:06d}"

    def next_id(self, prefix: str) -> str:
        self._next_number += 1
        return f"{prefix}0{self._next_number:08d}"

    def person(self, user_id: str) -> Person:
        try:
            return self.people[user_id]
        except KeyError:
            raise SlackError("user_not_found") from None

    def direct_message(self, user_id: str) -> Conversation:
        channel_id = f"D{user_id.removeprefix('U')}"
        if channel_id not in self.conversations:
            self.conversations[channel_id] = Conversation(
                channel_id, "directmessage", {user_id, self.bot.id}, is_im=True
            )
        return self.conversations[channel_id]

    def conversation(self, reference: str) -> Conversation:
        """By id, by `#name`, or by a person's id, which means the direct message with them."""
        if reference in self.conversations:
            return self.conversations[reference]
        if reference in self.people and not self.people[reference].is_bot:
            return self.direct_message(reference)
        name = reference.removeprefix("#")
        for conversation in self.conversations.values():
            if not conversation.is_im and conversation.name == name:
                return conversation
        raise SlackError("channel_not_found")

    def message(self, conversation: Conversation, ts: str) -> Json:
        try:
            return conversation.messages[ts]
        except KeyError:
            raise SlackError("message_not_found") from None

    def person_json(self, person: Person) -> Json:
        return {
            "id": person.id,
            "team_id": person.team_id,
            "name": person.name,
            "real_name": person.real_name,
            "deleted": person.is_deleted,
            "is_admin": person.is_admin,
            "is_owner": False,
            "is_bot": person.is_bot,
            "is_app_user": False,
            "is_stranger": person.is_stranger,
            "is_restricted": person.is_restricted,
            "is_ultra_restricted": False,
            "tz": person.tz,
            "tz_label": "Coordinated Universal Time",
            "tz_offset": person.tz_offset,
            "updated": 0,
            "profile": {
                "real_name": person.real_name,
                "display_name": person.name,
                "email": person.email,
                "team": person.team_id,
                **(
                    {"api_app_id": self.settings.app_id, "bot_id": self.settings.bot_id}
                    if person.is_bot
                    else {}
                ),
            },
        }

    def conversation_json(self, conversation: Conversation) -> Json:
        common: Json = {
            "id": conversation.id,
            "created": 0,
            "is_archived": conversation.is_archived,
            "is_im": conversation.is_im,
            "is_mpim": False,
            "is_org_shared": False,
            "context_team_id": self.settings.team_id,
        }
        if conversation.is_im:
            other = next(iter(conversation.members - {self.bot.id}), self.bot.id)
            return {**common, "user": other, "is_user_deleted": False, "priority": 0}
        return {
            **common,
            "name": conversation.name,
            "name_normalized": conversation.name,
            "is_channel": not conversation.is_private,
            "is_group": conversation.is_private,
            "is_private": conversation.is_private,
            "is_general": conversation.id == "C0GENERAL",
            "is_shared": conversation.is_shared,
            "is_ext_shared": conversation.is_shared,
            "is_member": self.bot.id in conversation.members,
            "creator": "U0ADMIN",
            "num_members": len(conversation.members),
            "topic": {"value": conversation.topic, "creator": "U0ADMIN", "last_set": 0},
            "purpose": {"value": conversation.topic, "creator": "U0ADMIN", "last_set": 0},
        }

    def group_json(self, group: UserGroup) -> Json:
        return {
            "id": group.id,
            "team_id": self.settings.team_id,
            "is_usergroup": True,
            "name": group.name,
            "handle": group.handle,
            "description": "",
            "is_external": False,
            "date_delete": 0,
            "users": list(group.members),
            "user_count": len(group.members),
        }

    def file_json(self, file: File) -> Json:
        return {
            "id": file.id,
            "name": file.name,
            "title": file.title,
            "size": file.length,
            "mimetype": "text/plain",
            "filetype": "text",
            "user": self.bot.id,
            "channels": file.channels,
            "url_private": f"/files/{file.id}/{file.name}",
            "url_private_download": f"/files/{file.id}/{file.name}",
            "permalink": f"/files/{file.id}/{file.name}",
        }
