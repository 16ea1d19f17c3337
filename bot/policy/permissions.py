"""Roles and what each may do. Without an access section everyone may read and nobody may change
anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    DEPLOYER = "deployer"
    APPROVER = "approver"
    ADMIN = "admin"


class PersonKind(StrEnum):
    """What Slack says of an account (users.info)."""

    MEMBER = "member"
    GUEST = "guest"
    DEACTIVATED = "deactivated"
    UNKNOWN = "unknown"
    STRANGER = "stranger"  # of a shared channel: belongs to another workspace
    BOT = "bot"


class Permission(StrEnum):
    READ = "read"
    DEPLOY = "deploy"
    APPROVE = "approve"
    ADMIN = "admin"


_GRANTED_BY: dict[Permission, frozenset[Role]] = {
    Permission.READ: frozenset(Role),
    Permission.DEPLOY: frozenset({Role.DEPLOYER, Role.ADMIN}),
    Permission.APPROVE: frozenset({Role.APPROVER, Role.ADMIN}),
    Permission.ADMIN: frozenset({Role.ADMIN}),
}


@dataclass(frozen=True)
class Grant:
    everyone: bool = False
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Access:
    channels: frozenset[str] = frozenset()  # empty: anywhere the bot is
    roles: Mapping[Role, Grant] = field(default_factory=dict)
    configured: bool = True

    @property
    def needs_groups(self) -> bool:
        return bool(self.named_groups)

    @property
    def named_groups(self) -> frozenset[str]:
        return frozenset(group for grant in self.roles.values() for group in grant.groups)

    @property
    def named_approvers(self) -> tuple[str, ...]:
        """Ids of the groups, then of the people, to whom the catalog gives the role by name."""
        grant = self.roles.get(Role.APPROVER, Grant())
        return (*sorted(grant.groups), *sorted(grant.users))


def roles_of(
    access: Access,
    user: str,
    groups: Collection[str],
    kind: PersonKind = PersonKind.MEMBER,
) -> frozenset[Role]:
    """`everyone` means the members of the workspace; a guest has only what the catalog gives by
    name, all others have nothing."""
    if kind not in (PersonKind.MEMBER, PersonKind.GUEST):
        return frozenset()
    is_guest = kind is PersonKind.GUEST
    if not access.configured:
        return frozenset() if is_guest else frozenset({Role.VIEWER})
    if is_guest:
        access = replace(
            access, roles={role: replace(one, everyone=False) for role, one in access.roles.items()}
        )
    return frozenset(
        role
        for role, grant in access.roles.items()
        if grant.everyone or user in grant.users or not grant.groups.isdisjoint(groups)
    )


def may(roles: Collection[Role], permission: Permission) -> bool:
    return not _GRANTED_BY[permission].isdisjoint(roles)


def roles_granting(permission: Permission) -> tuple[str, ...]:
    return tuple(role.value for role in Role if role in _GRANTED_BY[permission])


def refusal_of_role(permission: Permission, roles: Collection[Role]) -> str:
    """ "" when one of the roles grants the permission, else one line that names those that do."""
    if may(roles, permission):
        return ""
    return (
        f"You need the {' or '.join(roles_granting(permission))} role; you have"
        f" {', '.join(sorted(roles)) or 'none'}."
    )


def is_direct(channel: str) -> bool:
    return channel.startswith("D")


def takes_commands_in(access: Access, channel: str, *, changes: bool = False) -> bool:
    """``changes``: the command was typed and changes something. Others are taken in direct messages
    and in the home tab (no channel) too."""
    if not access.channels or channel in access.channels:
        return True
    return not changes and (is_direct(channel) or not channel)
