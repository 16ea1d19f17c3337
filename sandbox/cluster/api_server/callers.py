"""The caller of a request, and the options of a write."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Caller:
    """An authenticated client."""

    user: str
    groups: tuple[str, ...] = ()
    agent: str = ""

    @property
    def is_admin(self) -> bool:
        return "system:masters" in self.groups

    @property
    def default_manager(self) -> str:
        """The field manager of a write without one: the user agent up to its first slash."""
        return self.agent.partition("/")[0][:128] or "unknown"


ADMIN_GROUPS = ("system:masters", "system:authenticated")
CONTROLLER_MANAGER = Caller(
    "system:kube-controller-manager", ADMIN_GROUPS, "kube-controller-manager/v1.36.3"
)
SCHEDULER = Caller("system:kube-scheduler", ADMIN_GROUPS, "kube-scheduler/v1.36.3")
KUBELET = Caller("system:node", ADMIN_GROUPS, "kubelet/v1.36.3")
SEEDER = Caller("admin", ADMIN_GROUPS, "kubectl/v1.36.3")


@dataclass
class WriteOptions:
    """Query parameters of a write; `warnings` are sent back as Warning headers."""

    dry_run: bool = False
    field_manager: str = ""
    force: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DeleteOptions:
    dry_run: bool = False
    grace_period: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""
