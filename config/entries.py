"""The shape of the catalog. Names of attributes carry the unit (``hold_ms``); the YAML key is the
alias (``hold``)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    model_validator,
)

from config.durations import parse_duration
from config.link_templates import checked

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_REPOSITORY = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")


def _duration(value: object) -> int:
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 and not isinstance(value, bool):
        return 0
    raise ValueError(
        f"`{value}` is not a duration: write a number and a unit, such as 90s, 2m or 1h30m"
    )


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"`{value}` is not {what}")
        return value

    return AfterValidator(check)


def _rising(steps: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 0 < share <= 100 for share in steps):
        raise ValueError("each step must be a percentage of traffic from 1 to 100")
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ValueError("steps must rise: each share is larger than the one before")
    shares = (
        steps[:-1] if steps and steps[-1] == 100 else steps
    )  # a final 100 may be written; it is implied
    if not shares:
        raise ValueError(
            "at least one share below 100 is needed; to release without one, use strategy: rolling"
        )
    return shares


Duration = Annotated[int, BeforeValidator(_duration)]
Label = Annotated[
    str, _matching(_DNS_LABEL, "a Kubernetes name (lower-case letters, digits and -, at most 63)")
]
ObjectName = Annotated[
    str, _matching(_DNS_SUBDOMAIN, "a Kubernetes name (lower-case letters, digits, - and .)")
]
LabelKey = Annotated[str, _matching(_LABEL_KEY, "a label key such as `version`")]
Repository = Annotated[
    str,
    _matching(
        _REPOSITORY,
        "an image repository without tag or digest, such as registry.example.com/team/app",
    ),
]
AppName = Annotated[
    str,
    _matching(
        re.compile(r"[a-z0-9]([-a-z0-9.]{0,48}[a-z0-9])?"),
        "an app's name (lower-case letters, digits, - and ., at most 50)",
    ),
]
Channel = Annotated[
    str,
    _matching(
        re.compile(r"[CGD][A-Z0-9]{2,}"),
        "a channel ID (C…): copy it from the channel's details in Slack",
    ),
]
UserId = Annotated[
    str,
    _matching(
        re.compile(r"[UW][A-Z0-9]{2,}"),
        "a member ID (U…): copy it from the person's profile in Slack",
    ),
]
GroupId = Annotated[str, _matching(re.compile(r"S[A-Z0-9]{2,}"), "a user group ID (S…)")]
Channels = Annotated[tuple[Channel, ...], Strict(False)]
Names = Annotated[tuple[ObjectName, ...], Strict(False)]
Paths = Annotated[tuple[str, ...], Strict(False)]
SourcePaths = Annotated[tuple[str, ...], Strict(False), BeforeValidator(_one_or_many)]
Repositories = Annotated[tuple[Repository, ...], Strict(False)]
Shares = Annotated[tuple[int, ...], Strict(False), AfterValidator(_rising)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
StrategyName = Literal["rolling", "canary", "bluegreen"]


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=False)


class ClusterEntry(Entry):
    kubeconfig: str | None = None  # relative to the catalog's folder
    context: str | None = None
    in_cluster: bool = False

    @model_validator(mode="after")
    def _one_way_in(self) -> ClusterEntry:
        if self.in_cluster == bool(self.kubeconfig):
            raise ValueError("set exactly one of `kubeconfig: PATH` and `in_cluster: true`")
        if self.in_cluster and self.context:
            raise ValueError("`context` belongs to a kubeconfig, not to `in_cluster: true`")
        return self


class FilesEntry(Entry):
    """Secrets and ConfigMaps made of files: a folder (``tls/``) or a list of files."""

    secrets: dict[ObjectName, SourcePaths] = {}
    configmaps: dict[ObjectName, SourcePaths] = {}


class ScaleEntry(Entry):
    min: Count = 0
    max: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> ScaleEntry:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max ({self.max}) is smaller than min ({self.min})")
        return self


class ProbeEntry(Entry):
    url: (
        Annotated[str, _matching(re.compile(r"https?://\S+"), "a URL (http:// or https://)")] | None
    ) = None
    path: Annotated[str, _matching(re.compile(r"/\S*"), "a path that begins with /")] = "/version"
    requests: Annotated[int, Field(ge=1, le=200)] = 20


class AutoscalerEntry(Entry):
    min_replicas: Literal["leave", "raise"] = "leave"


class CanaryEntry(Entry):
    steps: Shares = (20, 50)
    hold_ms: Duration = Field(default=120_000, alias="hold")
    promote: Literal["approval", "automatic"] = "approval"
    mode: Literal["add", "shift"] = "add"
    max_candidates: Positive | None = None


class BlueGreenEntry(Entry):
    rollback_window_ms: Duration = Field(default=600_000, alias="rollback_window")
    promote: Literal["approval", "automatic"] = "approval"
    preview: bool = False
    settle: Literal["roll", "keep"] = "roll"

    @model_validator(mode="after")
    def _long_enough(self) -> BlueGreenEntry:
        if self.rollback_window_ms < 30_000:
            raise ValueError("rollback_window must be at least 30s: old connections need that long")
        return self


class CrashLoopEntry(Entry):
    restarts: Positive = 3
    for_ms: Duration = Field(default=60_000, alias="for")


class ApprovalsEntry(Entry):
    start: Count = 0
    promote: Count = 1
    requester_may_approve: bool = False
    expires_ms: Duration = Field(default=3_600_000, alias="expires")
    on_expiry: Literal["hold", "abort"] = "hold"
    confirm: bool = True
    remind_ms: Annotated[tuple[Duration, ...], Strict(False)] = Field(default=(), alias="remind")

    @model_validator(mode="after")
    def _long_enough(self) -> ApprovalsEntry:
        if self.expires_ms < 1_000:
            raise ValueError("expires must be at least 1s")
        if list(self.remind_ms) != sorted({*self.remind_ms}) or any(
            one < 1_000 for one in self.remind_ms
        ):
            raise ValueError("remind must rise and begin with 1s or more, such as [15m, 1h]")
        return self


LinkName = Annotated[
    str, _matching(re.compile(r"[^\s<>|](?:[^\n<>|]{0,28}[^\s<>|])?"), "a link's name (at most 30)")
]
LinkTemplate = Annotated[str, AfterValidator(checked)]


class EvidenceEntry(Entry):
    logs: Literal["off", "starter", "channel"] = "starter"


class AppSettings(Entry):
    """Every key of an app, all optional: ``defaults`` takes the same keys."""

    cluster: str | None = None
    namespace: Label = "default"
    deployment: ObjectName | None = None
    container: Label | None = None
    service: ObjectName | None = None
    services: Names | None = None
    version_label: LabelKey | None = None
    images: Repositories = ()
    channel: Channel | None = None
    strategy: StrategyName = "rolling"
    manifests: Paths = ()
    files: FilesEntry = FilesEntry()
    scale: ScaleEntry = ScaleEntry()
    autoscaler: AutoscalerEntry = AutoscalerEntry()
    probe: ProbeEntry | None = None
    canary: CanaryEntry = CanaryEntry()
    bluegreen: BlueGreenEntry = BlueGreenEntry()
    on_failure: Literal["rollback", "pause"] = "rollback"
    ready_within_ms: Duration = Field(default=120_000, alias="ready_within")
    crash_loop: CrashLoopEntry = CrashLoopEntry()
    approvals: ApprovalsEntry = ApprovalsEntry()
    managed_elsewhere: Literal["refuse", "warn"] = "refuse"
    watch_after_ms: Duration = Field(default=600_000, alias="watch_after")
    evidence: EvidenceEntry = EvidenceEntry()
    links: Annotated[dict[LinkName, LinkTemplate], Field(max_length=8)] = {}

    @model_validator(mode="after")
    def _one_service_key(self) -> AppSettings:
        if "service" in self.model_fields_set and "services" in self.model_fields_set:
            raise ValueError("`service` and `services` are both set: keep one")
        return self


class RoleEntry(Entry):
    everyone: bool = False
    users: Annotated[tuple[UserId, ...], Strict(False)] = ()
    groups: Annotated[tuple[GroupId, ...], Strict(False)] = ()


class RolesEntry(Entry):
    viewer: RoleEntry = RoleEntry(everyone=True)
    deployer: RoleEntry = RoleEntry()
    approver: RoleEntry = RoleEntry()
    admin: RoleEntry = RoleEntry()


class AccessEntry(Entry):
    """Without this section: reading for everyone in the workspace, changing for nobody."""

    channels: Channels = ()
    roles: RolesEntry = RolesEntry()


class RetentionEntry(Entry):
    releases: Positive = 200
    audit_ms: Duration = Field(default=400 * 86_400_000, alias="audit")
    names_ms: Duration = Field(default=90 * 86_400_000, alias="names")


class CatalogFile(Entry):
    clusters: Annotated[dict[Label, ClusterEntry], Field(min_length=1)]
    defaults: AppSettings = AppSettings()
    apps: Annotated[dict[AppName, AppSettings], Field(min_length=1)]
    access: AccessEntry = AccessEntry()
    retention: RetentionEntry = RetentionEntry()
