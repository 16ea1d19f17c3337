"""The shape of the catalog. Names of attributes carry the unit (``hold_ms``); the YAML key is the
alias (``hold``)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from config.access_entries import AccessEntry, ApprovalsEntry, FreezeEntry, ScopeEntry
from config.addresses import keeps_secrets
from config.durations import PATTERN
from config.entry_types import (
    AppName,
    Channel,
    Clusters,
    Count,
    Duration,
    Entry,
    FailurePlace,
    Label,
    LabelKey,
    LabelValue,
    Matching,
    Mentioned,
    Names,
    ObjectName,
    Paths,
    Positive,
    Repositories,
    Shares,
    SourcePaths,
    Strategies,
    StrategyName,
    read_duration,
)
from config.link_templates import checked
from config.selectors import read_buckets, read_counter
from config.watch_entry import WatchEntry

_NONE: JsonDict = {"enum": [None, ""]}
_ONE_WAY_IN: JsonDict = {
    "oneOf": [
        {
            "required": ["kubeconfig"],
            "properties": {
                "kubeconfig": {"type": "string", "minLength": 1},
                "in_cluster": {"const": False},
            },
        },
        {
            "required": ["in_cluster"],
            "properties": {"in_cluster": {"const": True}, "kubeconfig": _NONE, "context": _NONE},
        },
    ]
}
_GIVEN: JsonDict = {"not": {"type": "null"}}
_ONE_KEY_OF_EACH: JsonDict = {
    "allOf": [
        {"not": {"required": ["service", "services"]}},
        {
            "not": {
                "required": ["cluster", "clusters"],
                "properties": {"cluster": _GIVEN, "clusters": _GIVEN},
            }
        },
    ]
}


def _check_address(value: str) -> None:
    """Without a user, who would be shown in links. Raises ValueError."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(
            f"`{value}` is not the URL of a Prometheus, such as http://prometheus:9090"
        )
    if parts.username or parts.password:
        raise ValueError("url holds no user and no password: use `token_file`")


class PrometheusEntry(Entry):
    """The Prometheus that scrapes a cluster's pods, for `judge`."""

    url: Annotated[str, Matching(re.compile(r"https?://\S+"), "a URL (http:// or https://)")]
    """Where it is; links on cards lead there too. Redirects are not followed."""
    token_file: Annotated[str, Field(min_length=1)] | None = None
    """A file with a bearer token, relative to the catalog's folder. It is read each time."""
    ca_file: Annotated[str, Field(min_length=1)] | None = None
    """Certificates to trust (PEM), relative to the catalog's folder. Default: the system's."""
    scrape_interval_ms: Annotated[Duration, Field(ge=1)] | None = Field(
        default=None, alias="scrape_interval"
    )
    """How far two scrapes of a pod are apart: `pilothouse check` and plans then name holds that are
    too short for three of them. Default: not checked before a release."""

    @model_validator(mode="after")
    def _is_an_address(self) -> PrometheusEntry:
        _check_address(self.url)
        if self.token_file and self.url.startswith("http://") and not _is_near(self.url):
            raise ValueError("`token_file` needs https: a token is not sent over plain http")
        return self


def _is_near(url: str) -> bool:
    """On this machine, or within a cluster's own network, by its name."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "127.0.0.1", "::1") or "." not in host or host.endswith(".svc")


class ClusterEntry(Entry):
    """How a cluster is reached: by a kubeconfig, or by the pods' own service account."""

    model_config = ConfigDict(json_schema_extra=_ONE_WAY_IN)

    kubeconfig: str | None = None
    """A file, relative to the catalog's folder. It is read again when it changes."""
    context: str | None = None
    """The context in it. Default: its current one."""
    in_cluster: bool = False
    """By the service account of the pod that Pilothouse runs in."""
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """What it is, such as {region: eu, provider: gke}: apps choose their clusters by that."""
    prometheus: PrometheusEntry | None = None
    access: ScopeEntry | None = None
    """Who has which role in this cluster, where not the whole workspace decides."""

    @model_validator(mode="after")
    def _one_way_in(self) -> ClusterEntry:
        if self.in_cluster == bool(self.kubeconfig):
            raise ValueError("set exactly one of `kubeconfig: PATH` and `in_cluster: true`")
        if self.in_cluster and self.context:
            raise ValueError("`context` belongs to a kubeconfig, not to `in_cluster: true`")
        return self


class FilesEntry(Entry):
    """Secrets and ConfigMaps that /apply makes of files."""

    secrets: dict[ObjectName, SourcePaths] = Field(default_factory=dict)
    """By the Secret's name: a folder (`tls/`) or a list of files, relative to the catalog."""
    configmaps: dict[ObjectName, SourcePaths] = Field(default_factory=dict)
    """By the ConfigMap's name: a folder or a list of files, relative to the catalog."""


class ScaleEntry(Entry):
    """How many replicas /scale may ask for."""

    min: Count = 0
    """The fewest replicas."""
    max: Positive | None = None
    """The most replicas. Default: no maximum."""

    @model_validator(mode="after")
    def _ordered(self) -> ScaleEntry:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max ({self.max}) is smaller than min ({self.min})")
        return self


def _statuses(value: object) -> object:
    """``200-399`` or ``204``: the lowest and the highest."""
    if isinstance(value, tuple):
        return value  # read already
    found = re.fullmatch(r"([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?", str(value))
    if isinstance(value, bool) or found is None or int(found[2] or found[1]) < int(found[1]):
        raise ValueError(f"`{value}` is not a status or a range of them, such as 200-399")
    return int(found[1]), int(found[2] or found[1])


def _part(value: object) -> object:
    """``1%`` as a part of 1."""
    if isinstance(value, float):
        return value  # read already
    found = re.fullmatch(r"(\d{1,2}(?:\.\d{1,3})?)\s*%", str(value))
    if found is None or not float(found[1]):
        raise ValueError(f"`{value}` is not a percentage above 0% and below 100%, such as 1%")
    return float(found[1]) / 100


_STATUS = "[1-5][0-9]{2}"
Statuses = Annotated[
    tuple[int, int],
    BeforeValidator(_statuses),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{_STATUS}( *- *{_STATUS})?$"},
                {"type": "integer", "minimum": 100, "maximum": 599},
            ]
        }
    ),
]
Part = Annotated[
    float,
    BeforeValidator(_part),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,2}(\.[0-9]{1,3})? *%$"}),
]
LONGEST_ANSWER_MS = 2_000


class ProbeEntry(Entry):
    """What pods are asked: by /traffic, before a blue/green switch, and to judge new versions."""

    url: (
        Annotated[str, Matching(re.compile(r"https?://\S+"), "a URL (http:// or https://)")] | None
    ) = None
    """Where to send them. Default: through the API server; then every green pod is probed."""
    path: Annotated[str, Matching(re.compile(r"/\S*"), "a path that begins with /")] = "/version"
    """The path that is requested."""
    requests: Annotated[int, Field(ge=1, le=200)] = 20
    """How many requests /traffic sends, and as many of each version in a judged hold."""
    status: Statuses = Field(default=(200, 399), json_schema_extra={"default": "200-399"})
    """The status of a good answer, or a range. Redirects are answers, and are not followed."""
    contains: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """What the first 4 KiB of a good answer contain."""
    within_ms: Duration = Field(default=1_000, alias="within")
    """How soon a good answer is there: 50ms to 2s."""

    @model_validator(mode="after")
    def _soon_enough(self) -> ProbeEntry:
        if not 50 <= self.within_ms <= LONGEST_ANSWER_MS:
            raise ValueError("within must be from 50ms to 2s: a slower answer is a bad one")
        return self


def _counter(value: str) -> str:
    read_counter(value)
    return value


def _buckets(value: str) -> str:
    read_buckets(value)
    return value


def _window(value: object) -> object:
    return value if value == "hold" or isinstance(value, bool) else read_duration(value)


Counter = Annotated[str, AfterValidator(_counter)]
Buckets = Annotated[str, AfterValidator(_buckets)]
Window = Annotated[
    int | Literal["hold"],
    BeforeValidator(_window),
    WithJsonSchema({"anyOf": [{"const": "hold"}, {"type": "string", "pattern": PATTERN}]}),
]
PresetName = Literal["istio", "linkerd", "prometheus", "opentelemetry"]


class LatencyEntry(Entry):
    """Slow requests, by a histogram."""

    histogram: Buckets | None = None
    """Its buckets, as a selector: `http_request_duration_seconds_bucket`. Default: the preset's."""
    slower_than_ms: Annotated[Duration, Field(ge=1)] = Field(default=500, alias="slower_than")
    """What is slow: the upper bound of one of its buckets."""


class JudgeEntry(Entry):
    """New versions pass only where answers are good: of a probe without a URL, or by metrics."""

    preset: PresetName | None = None
    """What is counted where a mesh or a usual library counts; other keys win over it."""
    requests: Counter | None = None
    """The counter of requests, as a selector: `http_requests_total{namespace="shop"}`."""
    errors: Counter | None = None
    """The counter of those that failed: `http_requests_total{namespace="shop",code=~"5.."}`."""
    latency: LatencyEntry | None = None
    """Default: slow requests are not judged."""
    pod_label: Annotated[
        str, Matching(re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*"), "a label's name, such as pod")
    ] = "pod"
    """The label with the pod's name; `pilothouse doctor` finds it."""
    window_ms: Window = Field(default="hold", alias="window")
    """The last part of a hold that metrics count, such as 5m. Default: all of it."""
    min_requests: Count = 200
    """Requests of the candidate below which metrics are never good."""
    worse_by: Part = Field(default=0.01, json_schema_extra={"default": "1%"})
    """The worsening that counts: bad is worse by it, good excludes it."""
    false_alarms: Part = Field(default=0.01, json_schema_extra={"default": "1%"})
    """The chance that a release which is no worse is ever called bad."""
    extend_ms: Duration = Field(default=300_000, alias="extend")
    """How much longer a hold is, once, where its answers say too little; then people are asked."""

    @property
    def has_metrics(self) -> bool:
        return bool(self.preset or (self.requests and self.errors))

    @model_validator(mode="after")
    def _decides(self) -> JudgeEntry:
        if self.worse_by > 0.5:
            raise ValueError("worse_by must be at most 50%: what fails more often is broken")
        if self.false_alarms > 0.1:
            raise ValueError("false_alarms must be at most 10%: every tenth release would go back")
        return self

    @model_validator(mode="after")
    def _counts(self) -> JudgeEntry:
        if self.preset is None and bool(self.requests) != bool(self.errors):
            raise ValueError("`requests` and `errors` belong together: name both, or a `preset`")
        if not self.has_metrics:
            of_metrics = ("latency", "pod_label", "window_ms", "min_requests")
            unused = next((one for one in of_metrics if one in self.model_fields_set), None)
            if unused is not None:
                key = unused.removesuffix("_ms")
                raise ValueError(f"`{key}` does nothing without `requests` and `errors`")
        elif self.latency is not None and not (self.preset or self.latency.histogram):
            raise ValueError("`latency` needs `histogram`, or a `preset`")
        if isinstance(self.window_ms, int) and self.window_ms < 30_000:
            raise ValueError("window must be at least 30s: fewer scrapes say too little")
        return self


class AutoscalerEntry(Entry):
    """What a release may do with the app's HorizontalPodAutoscaler."""

    min_replicas: Literal["leave", "raise"] = "leave"
    """raise: its minReplicas before a Service changes hands, so that it keeps the side that takes
    over large enough; restored at the end."""


class CanaryEntry(Entry):
    """Canary: a second Deployment behind the same Services, step by step."""

    steps: Shares = (20, 50)
    """Shares of the traffic in percent, rising. 100 is implied."""
    hold_ms: Duration = Field(default=120_000, alias="hold")
    """How long each step is watched before the next."""
    promote: Literal["approval", "automatic"] = "approval"
    """Whether an approver promotes the last step, or it follows by itself."""
    mode: Literal["add", "shift"] = "add"
    """add: canary pods come on top of stable. shift: stable gives up as many."""
    max_candidates: Positive | None = None
    """The most canary pods. Default: as many as stable has, within its autoscaler's maximum."""


class BlueGreenEntry(Entry):
    """Blue/green: a second Deployment at full size, and one patch that switches."""

    rollback_window_ms: Duration = Field(default=600_000, alias="rollback_window")
    """How long blue stays after the switch, for a rollback in one patch: 30s or more."""
    promote: Literal["approval", "automatic"] = "approval"
    """Whether an approver switches, or the switch follows by itself."""
    preview: bool = False
    """A Service of its own that leads to green before the switch."""
    settle: Literal["roll", "keep"] = "roll"
    """roll: the Deployment as found takes over from green. keep: both Deployments stay."""
    judge: Literal["rollback", "ask", "off"] = "rollback"
    """What follows where green's answers turn bad after the switch, and blue's do not."""

    @model_validator(mode="after")
    def _long_enough(self) -> BlueGreenEntry:
        if self.rollback_window_ms < 30_000:
            raise ValueError("rollback_window must be at least 30s: old connections need that long")
        return self


class CrashLoopEntry(Entry):
    """When a container that keeps ending counts as failed: both must be reached."""

    restarts: Positive = 3
    """After so many restarts."""
    for_ms: Duration = Field(default=60_000, alias="for")
    """So long after its first start."""


LinkName = Annotated[
    str, Matching(re.compile(r"[^\s<>|](?:[^\n<>|]{0,28}[^\s<>|])?"), "a link's name (at most 30)")
]
LinkTemplate = Annotated[str, AfterValidator(checked)]


class EvidenceEntry(Entry):
    """What is shown of a failed pod."""

    logs: Literal["off", "starter", "channel"] = "starter"
    """Who sees its last log lines."""


class NotifyPlacesEntry(Entry):
    """Where else, beside the app's channel."""

    failure: Annotated[tuple[FailurePlace, ...], Strict(False), Field(max_length=5)] = ()
    """Channels that get a copy of a failure, and `starter`: a direct message to who started it."""


class NotifyEntry(Entry):
    """Who hears what."""

    outside: bool = True
    """Whether the app's channel is told of rollouts and changes outside Pilothouse."""
    to: NotifyPlacesEntry = NotifyPlacesEntry()
    mention: Mentioned | None = None
    """Whom a failure mentions, beside the person who started the release."""


class OverrideEntry(Entry):
    """What an app has in one of its clusters instead of its own."""

    namespace: Label | None = None
    """The namespace of its objects there."""
    channel: Channel | None = None
    """ID of the channel for its cards and failures there."""
    scale: ScaleEntry | None = None


class WaveEntry(Entry):
    """Clusters that get a new version side by side, and what comes before the next of them."""

    clusters: Clusters
    """Their names, or the labels that each of them has."""
    soak_ms: Duration = Field(default=0, alias="soak")
    """How long the version is watched there before the next wave begins."""
    then: Literal["go", "approval"] = "go"
    """approval: the next wave waits for those who approve a promotion."""
    unreachable: Literal["wait", "skip", "stop"] = "wait"
    """What a cluster that does not answer means: wait for it; skip it, until it answers; stop the
    later waves, and ask."""
    catch_up_within_ms: Duration = Field(default=86_400_000, alias="catch_up_within")
    """How long after it was skipped a cluster still catches up by itself; later, people are
    asked."""


class AppSettings(Entry):
    """Every key of an app, all optional: ``defaults`` takes the same keys."""

    model_config = ConfigDict(json_schema_extra=_ONE_KEY_OF_EACH)

    cluster: str | None = None
    """The cluster that the app is in. May be left out where the catalog has one."""
    clusters: Clusters | None = None
    """The clusters that the app is in: their names, or labels, such as {region: eu}. A new version
    goes through all of them, or through those that `in=` names."""
    overrides: dict[Label, OverrideEntry] = Field(default_factory=dict)
    """By the name of one of its clusters: namespace, channel and scale there."""
    waves: Annotated[tuple[WaveEntry, ...], Strict(False), Field(min_length=1)] | None = None
    """The order in which its clusters get a new version. Default: one after the other, as
    written."""
    namespace: Label = "default"
    """The namespace of its objects."""
    deployment: ObjectName | None = None
    """Default: the app's name."""
    container: Label | None = None
    """The container whose image a release changes. Default: the only one."""
    service: ObjectName | None = None
    """The Service in front of it. Default: the app's name; null for none."""
    services: Names | None = None
    """Its Services, instead of `service`."""
    version_label: LabelKey | None = None
    """A label of its pods that follows the image's tag, such as `version`."""
    images: Repositories = ()
    """Repositories whose images may be released. Default: the one now running."""
    channel: Channel | None = None
    """ID of the channel for its cards and failures. Default: where the command was typed."""
    strategy: StrategyName = "rolling"
    """Used where /deploy names none."""
    strategies: Strategies | None = None
    """Those that may bring a new version. Default: all but those of `emergency`."""
    emergency: Strategies = ()
    """Those that only an admin may use, with a reason; it is announced in the channel."""
    manifests: Paths = ()
    """Files that /apply uses, relative to the catalog."""
    files: FilesEntry = FilesEntry()
    scale: ScaleEntry = ScaleEntry()
    autoscaler: AutoscalerEntry = AutoscalerEntry()
    probe: ProbeEntry | None = None
    judge: JudgeEntry | None = None
    canary: CanaryEntry = CanaryEntry()
    bluegreen: BlueGreenEntry = BlueGreenEntry()
    on_failure: Literal["rollback", "pause"] = "rollback"
    """pause: a failing release waits for people instead of rolling back."""
    ready_within_ms: Duration = Field(default=120_000, alias="ready_within")
    """How long a pod usually takes to be ready, until there is a history."""
    crash_loop: CrashLoopEntry = CrashLoopEntry()
    approvals: ApprovalsEntry = ApprovalsEntry()
    access: ScopeEntry | None = None
    """Who has which role for this app, where not its cluster or the workspace decides."""
    managed_elsewhere: Literal["refuse", "warn"] = "refuse"
    """Where Argo CD, Flux, Helm or another Apply manager owns what a release writes."""
    watch_after_ms: Duration = Field(default=600_000, alias="watch_after")
    """How long a version is watched after its release succeeded; 0s: not at all."""
    evidence: EvidenceEntry = EvidenceEntry()
    notify: NotifyEntry = NotifyEntry()
    links: Annotated[dict[LinkName, LinkTemplate], Field(max_length=8)] = Field(
        default_factory=dict
    )
    """Links on plan and card, by name: URLs with {app}, {cluster}, {namespace}, {deployment},
    {from}, {to}, {version} and {release}, which are encoded. One without a value drops its link."""

    @model_validator(mode="after")
    def _one_service_key(self) -> AppSettings:
        if "service" in self.model_fields_set and "services" in self.model_fields_set:
            raise ValueError("`service` and `services` are both set: keep one")
        return self

    @model_validator(mode="after")
    def _one_cluster_key(self) -> AppSettings:
        if self.cluster is not None and self.clusters is not None:
            raise ValueError("`cluster` and `clusters` are both set: keep one")
        return self


class RetentionEntry(Entry):
    """How long records are kept."""

    releases: Positive = 200
    """Releases of each app."""
    audit_ms: Duration = Field(default=400 * 86_400_000, alias="audit")
    """The audit."""
    names_ms: Duration = Field(default=90 * 86_400_000, alias="names")
    """Names of people."""


class AuditEntry(Entry):
    """Where a second keeper of the audit is."""

    channel: Channel | None = None
    """ID of the channel where the head of the audit's chain is posted hourly, if anything was
    recorded. Default: only under the cards of releases that are over, and in the log."""


def _day(value: object) -> object:
    """``2027-01-01``: milliseconds at the beginning of that day, in UTC."""
    try:
        day = date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"`{value}` is not a day, such as 2027-01-01") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


Day = Annotated[
    int,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
]


class TokenEntry(Entry):
    """A machine that may come in through the API, and what for."""

    name: Label
    """How cards, the audit and the logs name it."""
    file: Annotated[str, Field(min_length=1)]
    """A file with the token in a line of at least 32 characters, and in a second line the one
    before or after it. Relative to the catalog's folder; read again when it changes."""
    apps: Annotated[tuple[AppName, ...], Strict(False), Field(min_length=1)]
    """The apps whose releases it may read, or start."""
    clusters: Annotated[tuple[Label, ...], Strict(False)] = ()
    """The clusters in which it may. Default: all of them."""
    strategies: Annotated[tuple[StrategyName, ...], Strict(False)] = ()
    """The strategies by which it may start releases. Default: all of them."""
    may: Literal["read", "start"] = "read"
    """start: it may start releases, too."""
    expires_at: Day | None = Field(default=None, alias="expires")
    """The day from which it is refused, in UTC. Default: never."""


class ApiEntry(Entry):
    """The door for machines: releases started and followed over HTTP."""

    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Where the bot listens for them. Default: nowhere."""
    tokens: Annotated[tuple[TokenEntry, ...], Strict(False), Field(max_length=64)] = ()
    """Who may come in."""

    @model_validator(mode="after")
    def _named_once(self) -> ApiEntry:
        names = [one.name for one in self.tokens]
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise ValueError(f"two tokens have the name `{doubled}`")
        return self


def _keeping_secrets(url: str) -> str:
    if not keeps_secrets(url):
        raise ValueError(f"`{url}` is not encrypted: use https")
    return url


class EventsEntry(Entry):
    """A machine that is told what happens to releases."""

    url: Annotated[str, AfterValidator(_keeping_secrets)]
    """Where to send them: for github https://api.github.com, for gitlab the server's address."""
    format: Literal["cdevents", "github", "gitlab"] = "cdevents"
    """cdevents: CDEvents over HTTP. github, gitlab: deployments of the repository."""
    repository: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)+$")] | None = None
    """For github and gitlab: its path, such as shop/backend. Versions are tags or commits there."""
    secret_file: Annotated[str, Field(min_length=1)] | None = None
    """A file, relative to the catalog's folder: for cdevents the key that signs each event, for
    github and gitlab a token that may write deployments. Read anew each time."""
    apps: Annotated[tuple[AppName, ...], Strict(False)] = ()
    """The apps whose releases are told. Default: all of them."""

    @model_validator(mode="after")
    def _complete(self) -> EventsEntry:
        if self.format == "cdevents":
            if self.repository is not None:
                raise ValueError("`repository` belongs to github and gitlab")
        elif self.repository is None or self.secret_file is None:
            raise ValueError(f"{self.format} needs a `repository` and a `secret_file`")
        return self


class CatalogFile(Entry):
    """The catalog of Pilothouse: which apps there are, how they are released, and who may do it."""

    clusters: Annotated[dict[Label, ClusterEntry], Field(min_length=1)]
    """The clusters by name."""
    defaults: AppSettings = AppSettings()
    """Any key of an app; the app's own key wins."""
    apps: Annotated[dict[AppName, AppSettings], Field(min_length=1)]
    """The apps by name, as commands name them."""
    access: AccessEntry = AccessEntry()
    freezes: Annotated[tuple[FreezeEntry, ...], Strict(False)] = ()
    """Windows in which new releases are refused."""
    retention: RetentionEntry = RetentionEntry()
    audit: AuditEntry = AuditEntry()
    api: ApiEntry = ApiEntry()
    events: Annotated[tuple[EventsEntry, ...], Strict(False), Field(max_length=8)] = ()
    """Machines that are told what happens to releases."""
    watch: WatchEntry = WatchEntry()
