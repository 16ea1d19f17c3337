"""What a catalog may say and hardly means: `pilothouse check` warns of it."""

from __future__ import annotations

from config.catalog import CatalogSettings
from config.entries import AppSettings, RoleEntry, RolesEntry


def find_doubts(catalog: CatalogSettings) -> tuple[str, ...]:
    """Each with its place: ``apps.hello.approvals.promote: …``."""
    roles = catalog.access.roles
    found = []
    if roles.admin.everyone:
        found.append(
            "access.roles.admin: everyone in the workspace is an admin and may override freezes"
            " and approvals: name users or groups"
        )
    for name, app in catalog.apps.items():
        found += [f"apps.{name}.approvals.{line}" for line in _unreachable(app.settings, roles)]
    return tuple(found)


def _unreachable(app: AppSettings, roles: RolesEntry) -> list[str]:
    reachable = _most_approvals(roles, requester_may_approve=app.approvals.requester_may_approve)
    if reachable is None:
        return []
    promotes = "approval" in (app.canary.promote, app.bluegreen.promote)
    needed = {"start": app.approvals.start, "promote": app.approvals.promote if promotes else 0}
    return [
        f"{key}: {count} approval{'s' if count > 1 else ''} cannot be reached: at most {reachable}"
        f" {'people' if reachable != 1 else 'person'} may approve a release"
        for key, count in needed.items()
        if count > reachable
    ]


def _most_approvals(roles: RolesEntry, *, requester_may_approve: bool) -> int | None:
    """Of one release, whoever starts it. None where groups or everyone decide, or where nobody may
    start one."""
    approvers = _people(roles.approver, roles.admin)
    starters = _people(roles.deployer, roles.admin)
    if approvers is None or starters == frozenset():
        return None
    if requester_may_approve or starters is None or starters - approvers:
        return len(approvers)
    return len(approvers) - 1


def _people(*roles: RoleEntry) -> frozenset[str] | None:
    """None where not every one of them is named."""
    if any(role.everyone or role.groups for role in roles):
        return None
    return frozenset(user for role in roles for user in role.users)
