"""What a catalog may say and hardly means: `pilothouse check` warns of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from config.access_entries import QuorumEntry, RoleEntry, ScopeEntry
from config.catalog import AppCatalogEntry, CatalogMistake, CatalogSettings
from config.entries import ApiEntry, AppSettings
from config.positions import Place

_ROLES = ("deployer", "approver", "admin")


def find_doubts(catalog: CatalogSettings) -> tuple[CatalogMistake, ...]:
    """Each with its line and place, in the order of the catalog."""
    found = list(_of_access(catalog))
    for app in catalog.apps.values():
        here: Place = ("apps", app.name)
        found += [((*here, "approvals", key), line) for key, line in _unreachable(catalog, app)]
        found += [((*here, key, "promote"), line) for key, line in _blind(app.settings)]
        found += [((*here, *key), line) for key, line in _short_holds(catalog, app)]
    found += [
        (
            ("events", number),
            "nothing signs these events, so anyone may send such: set `secret_file`",
        )
        for number, one in enumerate(catalog.events)
        if one.secret_file is None
    ]
    found += _open_doors(catalog.api)
    return tuple(
        CatalogMistake(catalog.line(place), ".".join(map(str, place)), line)
        for place, line in found
    )


def _open_doors(api: ApiEntry) -> list[tuple[Place, str]]:
    found: list[tuple[Place, str]] = []
    if (api.port is None) != (not api.tokens):
        line = (
            "a port without tokens lets nobody in"
            if api.tokens == ()
            else "tokens without a port are never asked for: set api.port"
        )
        found.append((("api",), line))
    found += [
        (
            ("api", "tokens", number),
            f"{one.name} may start releases and never expires: set `expires`",
        )
        for number, one in enumerate(api.tokens)
        if one.may == "start" and one.expires_at is None
    ]
    return found


# --- access ---------------------------------------------------------------------------------------

_ALL_ADMINS = (
    "everyone in the workspace is an admin and may override freezes and approvals: name users or"
    " groups"
)


def _of_access(catalog: CatalogSettings) -> Iterator[tuple[Place, str]]:
    if catalog.access.roles.admin.everyone:
        yield ("access", "roles", "admin"), _ALL_ADMINS
    for name, cluster in catalog.clusters.items():
        if cluster.access is not None:
            place: Place = ("clusters", name, "access")
            yield from _of_scope(place, cluster.access)
            yield from _shadowed(catalog, name, cluster.access)
            yield from _without_effect(place, cluster.access, _wide(catalog), "access.roles")
    for app in catalog.apps.values():
        if (scope := app.settings.access) is not None:
            place = ("apps", app.name, "access")
            yield from _of_scope(place, scope)
            if all(catalog.clusters[one].access is None for one in app.clusters):
                yield from _without_effect(place, scope, _wide(catalog), "access.roles")


def _of_scope(place: Place, scope: ScopeEntry) -> Iterator[tuple[Place, str]]:
    if scope.admin is not None and scope.admin.everyone:
        yield (*place, "admin"), _ALL_ADMINS
    if scope.inherit:
        return
    if scope.admin is None:
        line = "nobody may override a freeze or end a release by force here: name an `admin`"
        yield (*place, "inherit"), line
    if scope.admin is None and scope.deployer is None:
        yield (*place, "inherit"), "nobody may release anything here: name a `deployer`"


def _shadowed(
    catalog: CatalogSettings, cluster: str, scope: ScopeEntry
) -> Iterator[tuple[Place, str]]:
    """Deployers and admins of a cluster also freeze it; its approvers have nothing but its apps."""
    apps = [one.settings.access for one in catalog.apps.values() if cluster in one.clusters]
    if scope.approver is None or not apps:
        return
    if all(one is not None and (one.approver is not None or not one.inherit) for one in apps):
        line = f"never used: every app of {cluster} names its own approvers; remove it"
        yield ("clusters", cluster, "access", "approver"), line


def _without_effect(
    place: Place, scope: ScopeEntry, wider: Mapping[str, RoleEntry], where: str
) -> Iterator[tuple[Place, str]]:
    for role in _ROLES:
        own: RoleEntry | None = getattr(scope, role)
        if own is not None and _same(own, wider[role]) and scope.inherit:
            yield (*place, role), f"says the same as {where}.{role}, and hides later changes of it"


def _same(one: RoleEntry, other: RoleEntry) -> bool:
    if one.everyone or other.everyone:
        return one.everyone == other.everyone
    return (set(one.users), set(one.groups)) == (set(other.users), set(other.groups))


def _wide(catalog: CatalogSettings) -> dict[str, RoleEntry]:
    return {role: getattr(catalog.access.roles, role) for role in _ROLES}


def _roles_at(catalog: CatalogSettings, app: AppCatalogEntry, cluster: str) -> dict[str, RoleEntry]:
    """As they are in force: of the narrowest that names them."""
    found = _wide(catalog)
    for scope in (catalog.clusters[cluster].access, app.settings.access):
        for role in _ROLES if scope is not None else ():
            own = getattr(scope, role)
            if own is not None or (scope is not None and not scope.inherit):
                found[role] = own or RoleEntry()
    return found


# --- approvals ------------------------------------------------------------------------------------

_BLIND = (
    "automatic, and no `probe` without `url`: a new version is judged by pods alone, which may be"
    " ready and answer every request with an error"
)


def _blind(app: AppSettings) -> Iterator[tuple[str, str]]:
    """Nobody approves what nobody asked: pods that are ready may answer nothing but errors."""
    if app.probe is not None and app.probe.url is None:
        return
    if app.judge is not None and app.judge.has_metrics:
        return
    for strategy, promote in (
        ("canary", app.canary.promote),
        ("bluegreen", app.bluegreen.promote),
    ):
        if promote == "automatic":
            yield strategy, _BLIND


_SCRAPES_OF_A_HOLD = 4  # three, and one more to end with


def _short_holds(
    catalog: CatalogSettings, app: AppCatalogEntry
) -> Iterator[tuple[tuple[str, str], str]]:
    """Metrics of such a hold are always too little."""
    settings = app.settings
    sources = [catalog.clusters[one].prometheus for one in app.clusters]
    every_ms = max((one.scrape_interval_ms or 0 for one in sources if one is not None), default=0)
    if settings.judge is None or not settings.judge.has_metrics or not _may_hold(settings):
        return
    hold_ms, window_ms = settings.canary.hold_ms, settings.judge.window_ms
    is_window = isinstance(window_ms, int) and window_ms < hold_ms
    counted_ms = window_ms if isinstance(window_ms, int) and is_window else hold_ms
    needed_ms = every_ms * _SCRAPES_OF_A_HOLD
    if counted_ms < needed_ms:
        place = ("judge", "window") if is_window else ("canary", "hold")
        yield (
            place,
            (
                f"{counted_ms / 1000:g} s are too short for three scrapes,"
                f" {every_ms / 1000:g} s apart: metrics would always be too little,"
                f" {needed_ms / 1000:g} s are enough"
            ),
        )


def _may_hold(app: AppSettings) -> bool:
    may = app.strategies
    return bool(app.canary.steps) and (may is None or "canary" in may)


def _unreachable(catalog: CatalogSettings, app: AppCatalogEntry) -> Iterator[tuple[str, str]]:
    settings = app.settings
    may_approve = settings.approvals.requester_may_approve
    most = [
        _most_approvals(_roles_at(catalog, app, one), requester_may_approve=may_approve)
        for one in app.clusters
    ]
    counted = [one for one in most if one is not None]
    if not counted:
        return
    reachable = min(counted)
    promotes = "approval" in (settings.canary.promote, settings.bluegreen.promote)
    needed = {
        "start": settings.approvals.start,
        "promote": settings.approvals.promote if promotes else QuorumEntry(count=0),
    }
    for key, quorum in needed.items():
        count = quorum.count
        if count > reachable and not (quorum.any_of or quorum.one_from_each):
            people = "people" if reachable != 1 else "person"
            asked = f"{count} approval{'s' if count > 1 else ''}"
            line = f"{asked} cannot be reached: at most {reachable} {people} may approve a release"
            yield key, line


def _most_approvals(roles: Mapping[str, RoleEntry], *, requester_may_approve: bool) -> int | None:
    """Of one release, whoever starts it. None where groups or everyone decide, or where nobody may
    start one."""
    approvers = _people(roles["approver"], roles["admin"])
    starters = _people(roles["deployer"], roles["admin"])
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
