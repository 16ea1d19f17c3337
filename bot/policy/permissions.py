"""Roles and what each may do. Without an access section everyone may read and nobody may change
anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
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
class Scope:
    """Roles in one cluster or of one app. ``inherit`` False: roles that it does not name are given
    to nobody there."""

    roles: Mapping[Role, Grant] = field(default_factory=dict)
    inherit: bool = True


@dataclass(frozen=True)
class Place:
    """Where something is done: in a cluster, to an app; with neither, in the whole workspace.
    ``clusters``: more than one where an act concerns all of them. ``anywhere``: nothing is done
    yet, and a role in any place is enough."""

    app: str = ""
    clusters: tuple[str, ...] = ()
    anywhere: bool = False


WORKSPACE = Place()
ANYWHERE = Place(anywhere=True)


@dataclass(frozen=True)
class Access:
    """``roles``: of the workspace. The narrowest that names a role decides who has it: the app,
    else the cluster, else the workspace. ``voters``: groups that the catalog names for
    approvals."""

    channels: frozenset[str] = frozenset()  # empty: anywhere the bot is
    roles: Mapping[Role, Grant] = field(default_factory=dict)
    configured: bool = True
    of_clusters: Mapping[str, Scope] = field(default_factory=dict)
    of_apps: Mapping[str, Scope] = field(default_factory=dict)
    voters: frozenset[str] = frozenset()

    @property
    def needs_groups(self) -> bool:
        return bool(self.named_groups)

    @property
    def named_groups(self) -> frozenset[str]:
        scopes = (*self.of_clusters.values(), *self.of_apps.values())
        grants = [self.roles, *(scope.roles for scope in scopes)]
        named = {group for one in grants for grant in one.values() for group in grant.groups}
        return frozenset(named) | self.voters

    def grants_at(self, app: str = "", cluster: str = "") -> Mapping[Role, Grant]:
        """Reading is the whole workspace's: no cluster and no app takes it away."""
        found = dict(self.roles)
        for scope in (self.of_clusters.get(cluster), self.of_apps.get(app)):
            if scope is None:
                continue
            if not scope.inherit:
                found = {role: one for role, one in found.items() if role is Role.VIEWER}
            found.update(scope.roles)
        return found

    def named(self, role: Role, app: str = "", cluster: str = "") -> tuple[str, ...]:
        """Ids of the groups, then of the people, to whom the catalog gives the role by name."""
        grant = self.grants_at(app, cluster).get(role, Grant())
        return (*sorted(grant.groups), *sorted(grant.users))


def roles_of(
    access: Access,
    user: str,
    groups: Collection[str],
    kind: PersonKind = PersonKind.MEMBER,
    place: Place = WORKSPACE,
) -> frozenset[Role]:
    """`everyone` means the members of the workspace; a guest has only what the catalog gives by
    name, all others have nothing. Where an act concerns several clusters, a role counts that the
    person has in each."""
    if kind not in (PersonKind.MEMBER, PersonKind.GUEST):
        return frozenset()
    is_guest = kind is PersonKind.GUEST
    if not access.configured:
        return frozenset() if is_guest else frozenset({Role.VIEWER})
    found = [
        frozenset(role for role, grant in grants.items() if _has(grant, user, groups, is_guest))
        for grants in _grants(access, place)
    ]
    return frozenset.union(*found) if place.anywhere else frozenset.intersection(*found)


def _has(grant: Grant, user: str, groups: Collection[str], is_guest: bool) -> bool:
    if grant.everyone and not is_guest:
        return True
    return user in grant.users or not grant.groups.isdisjoint(groups)


def _grants(access: Access, place: Place) -> Iterator[Mapping[Role, Grant]]:
    if not place.anywhere:
        for cluster in place.clusters or ("",):
            yield access.grants_at(place.app, cluster)
        return
    yield access.roles
    for scope in (*access.of_clusters.values(), *access.of_apps.values()):
        yield scope.roles


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
