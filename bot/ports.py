"""The Protocols between the bot and the outside world. Every adapter and every test double passes
the same contract suite.

Belongs here: Protocols, the small values they exchange, and the errors a caller can act on. Not:
any behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from bot.policy.automation import AutomationLock
from bot.policy.freezes import Freeze
from bot.policy.manifests import Brought
from bot.policy.permissions import PersonKind
from bot.query import Query
from bot.releases.facts.actions import Action
from bot.releases.facts.counters import SampleQuery, SamplesSeen
from bot.releases.facts.events import Event
from bot.releases.facts.observation import AnswerSeen, Observation, ProbeSeen, Written
from bot.releases.facts.plan import Probe
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target

# --- the process ----------------------------------------------------------------------------------


class Runtime(Protocol):
    """What a process has of its own: time that only passes, names, and work beside its work. A
    simulation decides all three."""

    def monotonic(self) -> float:
        """Seconds since some moment; only differences mean anything."""

    def new_id(self) -> str:
        """32 hexadecimal digits that nobody used before."""

    def start(self, work: Callable[[], None]) -> Future[None]:
        """Carry it out beside the caller, who need not wait for it."""

    def wait(self, started: Collection[Future[None]], seconds: float) -> frozenset[Future[None]]:
        """Those that ended, after all have or after ``seconds``."""

    def run_together(self, works: Sequence[Callable[[], None]]) -> None:
        """At most 16 at once. Returns when all have ended, then raises the error of
        the first that failed."""


# --- the cluster ----------------------------------------------------------------------------------


class ClusterUnreachable(Exception):
    """The API server could not be read or written: time-out, refused, reset, 5xx, 429 after its
    retries. Hold and try again.

    ``retry_after_ms`` is what the server asked for, else None. Never means "gone".
    """

    def __init__(self, why: str, retry_after_ms: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after_ms = retry_after_ms


class PreconditionFailed(Exception):
    """The object is not as the decision saw it (422 of a JSON-patch test, 409, 404 of a patched
    object): observe and decide again."""


class Refused(Exception):
    """The API server refuses, and would refuse again (403, 400, 422 invalid, quota of the object):
    its own words, one line."""


class UnknownField(Exception):
    """The path to explain does not exist: one line that names the nearest field."""


@dataclass(frozen=True)
class Table:
    """Rows for people, in kubectl's columns. ``wide`` columns are the last ``len(columns) -
    narrow``."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class ObjectChange:
    """What server-side apply would change in one object (from the server's dry run). Secret values
    never appear in ``diff``."""

    kind: str
    name: str
    namespace: str
    does: Literal["create", "update", "unchanged", "conflict"]
    diff: tuple[str, ...] = ()  # unified-diff-like lines
    conflicts: tuple[str, ...] = ()  # "manager: .spec.replicas"
    template: Any = None  # Deployments that exist: the template to roll to, None when equal
    concealed: Any = field(
        default=None, repr=False
    )  # a Secret's values before and after: for a keyed digest and nothing else
    brought: Brought = field(default_factory=Brought)


@dataclass(frozen=True)
class Applied:
    """How far manifests were applied, in their order. ``changes`` are in effect; ``left`` are not,
    as far as is known, and ``why`` says what stopped them (None: the caller did)."""

    changes: tuple[ObjectChange, ...]
    left: tuple[ObjectChange, ...] = ()
    why: ClusterUnreachable | Refused | None = None


TemplateVerdict: TypeAlias = Literal["healthy", "bad", "left", ""]


class Cluster(Protocol):
    """One Kubernetes cluster. Every call raises ClusterUnreachable; reads time out after 3 s,
    writes after 11 s."""

    def uid(self) -> str:
        """uid of the namespace kube-system: names the cluster."""

    def server_time(self) -> int | None:
        """The API server's clock, in milliseconds; None before its first answer. Asks nothing."""

    def observe(
        self,
        target: Target,
        *,
        candidate: str,
        or_candidate: str = "",
        extra_services: Sequence[str] = (),
        autoscaler: str = "",
        survey: bool = False,
        events: bool = False,
    ) -> Observation:
        """One snapshot; at most 8 independent reads run in parallel. ``candidate`` is "" where
        there is none; ``or_candidate`` takes its place where it does not exist. ``autoscaler``
        is read by its name. Events are read when ``events`` is set or a pod is stuck."""

    def is_unchanged(self, target: Target, seen: Observation, *, candidate: str) -> bool:
        """Whether the Deployments and Services of an observation are still as it read them: one
        small read for each. False where the app's own Deployment was not there."""

    def observe_apps(self, targets: Sequence[Target]) -> Mapping[str, Observation]:
        """By app: its Deployment, the green one beside it as the candidate, and its Services,
        without pods or endpoints. The number of requests depends on the namespaces alone."""

    def apply(self, target: Target, action: Action) -> Written | None:
        """Carry out one action in the target's namespace. Returns what it made of a Deployment,
        None for a Service. Raises PreconditionFailed, Refused, ClusterUnreachable."""

    def logs(
        self, target: Target, pod: str, *, container: str | None, lines: int, previous: bool
    ) -> tuple[str, ...]:
        """Last log lines, unredacted; () when there are none."""

    def table(self, targets: Sequence[Target], kind: str, *, wide: bool) -> Table:
        """kind: deployments, replicasets, pods, services, events (newest first). For several apps
        the first column names the app. Raises Refused where none of the Deployments exists."""

    def explain(self, path: str, *, recursive: bool) -> str:
        """kubectl explain's text from OpenAPI v3. Raises UnknownField."""

    def plan_manifests(
        self, target: Target, manifests: Sequence[Mapping[str, Any]]
    ) -> tuple[ObjectChange, ...]:
        """Dry run of server-side apply with field manager pilothouse-apply. Raises Refused where
        the server rejects a manifest."""

    def apply_manifests(
        self,
        target: Target,
        manifests: Sequence[Mapping[str, Any]],
        *,
        skip_template_of: str,
        may_write: Callable[[ObjectChange], bool],
    ) -> Applied:
        """Server-side apply, one object after the other, up to the first that fails. The Deployment
        ``skip_template_of`` keeps its live template and replicas.

        Each write is bound to the version just read. ``may_write`` is asked before each with what
        it would change, again after every conflict; at most three times an object. Raises Refused
        and ClusterUnreachable before the first write.
        """

    def probe(
        self,
        target: Target,
        service: str,
        path: str,
        *,
        requests: int,
        sticky: bool,
        url: str | None,
    ) -> tuple[str, ...]:
        """The body (at most 200 characters) or the error of each request. ``url`` None: through the
        API server's service proxy."""

    def sample_pods(
        self, target: Target, pods: Sequence[str], probe: Probe
    ) -> tuple[AnswerSeen, ...]:
        """One request for each name, all in the same seconds, through the API server. Bounded in
        bytes and time; no redirect is followed. What keeps a pod's answer away is an outcome, and
        raises nothing."""

    def ask_pods(self, target: Target, pods: Sequence[str], probe: Probe) -> ProbeSeen:
        """Ask each pod separately, through the API server's pod proxy, for a few seconds at most.
        An error counts as an answer."""

    def missing_permissions(self, namespace: str) -> tuple[str, ...]:
        """SelfSubjectAccessReview for each verb the bot needs: "create deployments.apps in
        default"."""


class Clusters(Protocol):
    """Connections by the catalog's cluster names. Unknown name: KeyError."""

    def __getitem__(self, name: str) -> Cluster: ...

    def names(self) -> tuple[str, ...]: ...


class Metrics(Protocol):
    """The counters of one cluster's pods, as they were scraped."""

    def read(self, query: SampleQuery, now: int) -> SamplesSeen:
        """One request of at most 3 s. Raw samples, their times by our clock, of which ``now`` is
        the present. What keeps them away is in the answer, and raises nothing."""


class Shelf(Protocol):
    """A cluster's large answers, kept between jobs under a name that changes with their content.
    Losing one costs only time."""

    def fetch(self, name: str) -> bytes | None: ...

    def keep(self, name: str, content: bytes) -> None: ...


class ManifestSource(Protocol):
    def load(
        self,
        folder: str,
        manifests: Sequence[str],
        files: Mapping[str, Mapping[str, Sequence[str]]],
    ) -> tuple[Mapping[str, Any], ...]:
        """The objects in an app's manifest files, then its Secrets and ConfigMaps, made of
        ``files`` ({"secrets": …, "configmaps": …}) as ``kubectl create --from-file`` makes them.
        Nothing outside ``folder`` is read. Raises Refused, never with a Secret's value.
        """


# --- the store ------------------------------------------------------------------------------------


class StoreUnavailable(Exception):
    """Redis is unreachable, full, or refuses writes: one clear line. Nothing was half-done."""


class OutcomeUnknown(StoreUnavailable):
    """A write was sent and its reply did not come. It took effect before its sender gave up, or it
    never will."""


class VersionConflict(Exception):
    """The release was saved since it was loaded: load again and decide again."""


class UnknownSchema(Exception):
    """A record written by a newer version of Pilothouse: left alone."""


@dataclass(frozen=True)
class Created:
    """``fresh`` False: the same request (deduplication key) or the same command while it runs;
    ``release`` is the first one."""

    release: Release
    fresh: bool


@dataclass(frozen=True)
class Locked:
    """``behind`` "" when the lock is held by the asker; else the id of the release in front.
    ``position`` counts from 1."""

    behind: str = ""
    position: int = 0


WORKER_ALIVE = "worker-alive"
"""Passing state, there while a worker's ticker runs."""


@dataclass(frozen=True)
class Announcement:
    """One outbox entry: an event to announce. ``sequence`` is unique per release and rises."""

    sequence: int
    event: Event


@dataclass(frozen=True)
class AuditLine:
    """``text`` and ``name`` are what a person wrote and is called: they are kept beside the entry,
    which holds their salted hash, and may be erased. What follows ``result`` is the store's."""

    at: int
    release_id: str
    app: str
    kind: str
    text: str
    by: str
    request_id: str = ""
    name: str = ""
    team: str = ""
    roles: str = ""
    rule: str = ""  # which decided: "" of what was not a decision
    channel: str = ""
    path: str = ""  # slash, mention, thread, form, button, confirmation, suggestion, home, …
    plan: str = ""
    before: str = ""  # hashes of the object, never its content
    after: str = ""
    result: str = ""
    catalog: str = field(default="", compare=False)
    version: str = field(default="", compare=False)
    number: int = field(default=0, compare=False)
    count: int = field(default=1, compare=False)  # so many times within a minute
    is_erased: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class AuditHead:
    """What one line witnesses: every entry up to ``number``. ``digest``: SHA-256 in hex."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"audit {self.number} sha256:{self.digest}"


@dataclass(frozen=True)
class Story:
    """Lines with their places in the audit stream, which rise. ``through``: the place of the last
    line that was read; "" where none was. ``is_whole``: nothing more was there."""

    lines: tuple[tuple[str, AuditLine], ...]
    through: str
    is_whole: bool


@dataclass(frozen=True)
class Budget:
    """A limit that all processes share: ``burst`` at once, then ``per_minute``; the last
    ``reserve`` are for callers that cannot wait."""

    name: str
    per_minute: int
    burst: int = 1
    reserve: int = 0


class ReleaseStore(Protocol):
    """Redis. Every write is one script carrying an operation id: twice is once. Raises
    StoreUnavailable."""

    def now(self) -> int:
        """Redis TIME in milliseconds."""

    def create(
        self,
        draft: Release,
        *,
        dedup_key: str,
        same_as: str,
        operation: str,
        tick_in_ms: int = 0,
    ) -> Created:
        """Give the draft its id (``<app>-<n>``, never twice, a store that lost everything
        included), store it, append CREATED to audit and outbox, wake it in ``tick_in_ms``; all or
        nothing.

        ``dedup_key`` (kept a day) returns the first answer. ``same_as`` names app, version,
        strategy and options; until a release with the same one is final, that release is returned.
        """

    def ask_to_start(self, app: str, request: str, *, operation: str) -> None:
        """Keep a request for a release of the app behind the earlier ones, and wake
        ``start:<app>``. ``app``: as a command names it (Target.typed)."""

    def next_to_start(self, app: str) -> str | None:
        """The oldest request that was not answered."""

    def start_answered(self, app: str, request: str, *, operation: str) -> None:
        """Forget the request."""

    def load(self, release_id: str) -> Release:
        """Raises KeyError, UnknownSchema."""

    def save(
        self,
        release: Release,
        events: Sequence[Event],
        *,
        operation: str,
        card: bool = True,
        wake: bool = False,
    ) -> Release:
        """Compare ``release.version``, write, append audit and outbox, mark the card dirty
        (``card``), wake delivery and, unless the caller is the release's own tick, the release
        (``wake``). A final phase also frees the locks, hands them to the next waiting release and
        wakes it. Raises VersionConflict."""

    def is_current(self, release: Release) -> bool:
        """Whether it is still the latest saved version."""

    def acquire(self, release: Release, keys: Sequence[str]) -> Locked:
        """Take all lock keys and the lock of the release's app, or wait for them. Idempotent.

        Releases of one app get their locks in the order in which they were created.
        """

    def leave_line(self, release_id: str) -> None:
        """Release all locks and leave their queues, so that what waits behind it can start."""

    def active(self, app: str | None = None, cluster: str | None = None) -> tuple[Release, ...]:
        """Releases that are not final, oldest first; of all clusters, or of one."""

    def active_ids(self) -> tuple[str, ...]:
        """The ids of ``active``, without reading the records; may include one that just ended."""

    def recent(
        self, app: str | None = None, cluster: str | None = None, *, limit: int = 10
    ) -> tuple[Release, ...]:
        """Newest first; of all clusters, or of one."""

    def record_card(self, release_id: str, *, channel: str, ts: str) -> None:
        """Where the card was posted. Does not count as a change of the release's version."""

    def card(self, release_id: str) -> tuple[str, str]:
        """(channel, ts) of the card; ("", "") when not yet posted."""

    def book_card(self, release_id: str, *, in_ms: int) -> None:
        """The card's edit is due in ``in_ms``; until then a change without an event wakes no
        delivery."""

    def outbox(self, release_id: str) -> tuple[tuple[Announcement, ...], bool]:
        """Undelivered announcements in order, and whether the card is dirty."""

    def delivered(self, release_id: str, *, through: int, card_version: int | None) -> None:
        """Announcements up to and including ``through`` are posted; the card shows
        ``card_version``."""

    def remember_healthy(
        self, app_key: str, template: Any, *, version: str, release_id: str
    ) -> None: ...

    def remember_bad(
        self, app_key: str, template: Any, *, version: str, why: str, release_id: str
    ) -> None: ...

    def remember_left(
        self, app_key: str, template: Any, *, version: str, why: str, release_id: str
    ) -> None:
        """Rolled back or undone without a failure of its own: it may be good, and only a person
        who names it returns to it."""

    def lift_bad_mark(self, app_key: str, template: Any) -> None:
        """No release has judged it any more. Another verdict than bad stays; twice is once."""

    def verdict_on(self, app_key: str, template: Any) -> tuple[TemplateVerdict, str, str]:
        """(verdict, release id, why) of exactly this template."""

    def last_healthy(self, app_key: str) -> tuple[tuple[Any, str, str], ...]:
        """Templates seen healthy, newest first, as (template, version, release id); at most 10."""

    def durations(self, app_key: str) -> tuple[int, ...]:
        """Milliseconds of this app's last successful rolling steps (at most 50), newest first; the
        deadline uses their p95."""

    def remember_duration(self, app_key: str, duration_ms: int, *, operation: str) -> None: ...

    def audit(self, *, app: str | None = None, limit: int = 50) -> tuple[AuditLine, ...]:
        """Newest first."""

    def story(self, release: Release, *, after: str = "", limit: int = 200) -> Story:
        """What the audit tells of one release, oldest first, from behind the place ``after``. At
        most ``limit`` lines of its app are read at once; those of other releases are left out."""

    def write_audit(self, line: AuditLine, *, operation: str) -> None:
        """Append one line to the audit stream alone: a decision, its outcome, or an action that
        took effect in the cluster."""

    def write_refusal(self, line: AuditLine, *, same_as: str, operation: str) -> None:
        """As ``write_audit``; within a minute of the same refusal (``same_as``) of the same person
        it is only counted, and one more line a minute tells how many there were."""

    def seal_audit(self) -> AuditHead | None:
        """Chain the entries that are not sealed yet, write the refusals that were counted, and trim
        what is older than the retention behind a checkpoint. Idempotent, by any number of
        processes; None where nothing was to be sealed, or another sealed it."""

    def audit_head(self) -> AuditHead:
        """The last sealed."""

    def head_wanted(self, release_id: str) -> AuditHead | None:
        """The head to be posted under the card of a release that is over; None where it was, or
        where the release's end is not sealed yet."""

    def head_posted(self, release_id: str) -> None: ...

    def count(self, name: str) -> None:
        """One more in what the metrics count; twice where the reply was lost and it is sent
        again."""

    def freezes(self) -> tuple[Freeze, ...]: ...

    def change_freeze(
        self,
        scope: str,
        before: Freeze | None,
        after: Freeze | None,
        *,
        operation: str = "",
        audit: AuditLine | None = None,
    ) -> bool:
        """None: no freeze in force. False, and nothing is changed, where the scope's freeze is no
        longer ``before``. ``audit`` is written with the change, or neither is; the same
        ``operation`` (not "") changes once."""

    def automation_locks(self, app: str, cluster: str) -> tuple[AutomationLock, ...]:
        """Those that keep machines from releasing the app there, the newest last."""

    def change_automation_locks(
        self,
        app: str,
        cluster: str,
        before: tuple[AutomationLock, ...],
        after: tuple[AutomationLock, ...],
        *,
        operation: str = "",
        audit: AuditLine | None = None,
    ) -> bool:
        """False, and nothing is changed, where they are no longer ``before``. ``audit`` and
        ``operation``: as for ``change_freeze``."""

    def put(self, key: str, value: str, *, ttl_ms: int) -> None:
        """Small short-lived state (a pending /apply, a form's draft); never a secret."""

    def put_new(self, key: str, value: str, *, ttl_ms: int) -> bool:
        """As ``put``, unless another value is there: then False."""

    def put_newest(self, key: str, value: str, *, order: int, ttl_ms: int) -> bool:
        """As ``put``; False where the key holds a value with a later ``order`` (below 2^53)."""

    def take(self, key: str) -> str | None:
        """Read and remove: the second taker gets None."""

    def peek(self, key: str) -> str | None: ...

    def book(self, budget: Budget, claimant: str, *, rank: int = 0) -> int:
        """Take one from a shared token bucket. Returns 0 when granted, else the milliseconds after
        which to ask again. Until then the claimant waits in line, behind lower ranks and behind
        earlier claimants of its rank. Rank 0 may use the reserve, rank 1 half of it."""

    def close(self, budget: Budget, *, for_ms: int) -> None:
        """The other side asked for a pause: grant nothing until it ends."""

    def reconcile(self) -> tuple[str, ...]:
        """For the sweep: free locks of finished releases, wake active releases and deliveries that
        nothing else would wake, and forget names after their time. Returns a line for each
        repair."""


class WorkQueue(Protocol):
    """Wakes jobs and enqueues queries. Wake ids are ``start:<app>``, ``release:<id>``,
    ``deliver:<id>``, ``events:<receiver>/<id>``, ``sweep``."""

    def wake(self, wake_id: str, at: int) -> None:
        """At ``at`` (milliseconds) or earlier; idempotent, the earliest wins."""

    def ask(self, query: Query) -> None:
        """Enqueue the query for a worker."""


# --- Slack ----------------------------------------------------------------------------------------


class RateLimited(Exception):
    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(f"rate limited for {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms


class ChannelUnavailable(Exception):
    """Archived, deleted, or the bot is not in it; the message cannot be delivered there."""


class MessageGone(Exception):
    """The message to be edited was deleted by a person."""


class SlackUnavailable(Exception):
    """5xx, time-out, or the token was revoked: try again later, after ``retry_after_ms`` where
    Slack said when."""

    def __init__(self, why: str, retry_after_ms: int | None = None) -> None:
        super().__init__(why)
        self.retry_after_ms = retry_after_ms


@dataclass(frozen=True)
class Message:
    """``text`` alone says everything: screen readers read only it."""

    text: str
    blocks: tuple[Mapping[str, Any], ...] = ()
    metadata: Mapping[str, Any] | None = None


class Messenger(Protocol):
    """Raises RateLimited, ChannelUnavailable, MessageGone, SlackUnavailable."""

    def post(
        self, channel: str, message: Message, *, thread_ts: str = "", broadcast: bool = False
    ) -> str:
        """Returns ts."""

    def edit(self, channel: str, ts: str, message: Message) -> None: ...

    def post_privately(
        self, channel: str, user: str, message: Message, *, thread_ts: str = ""
    ) -> None:
        """Only this person sees it (chat.postEphemeral)."""

    def respond(
        self,
        response_url: str,
        message: Message,
        *,
        in_channel: bool = False,
        replace: bool = False,
    ) -> None: ...

    def direct(self, user: str, message: Message) -> str:
        """A direct message; returns ts."""

    def upload(self, user: str, filename: str, content: str, *, title: str) -> None:
        """A text file in the person's direct messages."""

    def find_posted(self, channel: str, *, key: str, thread_ts: str = "") -> str:
        """ts of our message whose metadata carries this key, "" when none. Finds a message whose
        answer was lost after posting."""

    def permalink(self, channel: str, ts: str) -> str: ...

    def why_not_in(self, channel: str) -> Literal["", "not a member", "archived", "unknown"]:
        """Why the bot cannot post in a channel; "" where it can, or where Slack does not say soon.
        Never raises."""

    def update_view(self, view_id: str, seen_hash: str, view: Mapping[str, Any]) -> str:
        """Redraw an open form and return its hash. MessageGone when it was closed, or changed since
        ``seen_hash`` ("": do not check)."""

    def publish_home(self, user: str, view: Mapping[str, Any]) -> None: ...


# --- machines that are told -----------------------------------------------------------------------


class ReceiverAway(Exception):
    """No reply in time, an error of its own, or a secret that it does not take: try again later."""


class ReceiverRefused(Exception):
    """It would refuse the same again."""


@dataclass(frozen=True)
class Receiver:
    """``name`` follows from the rest. ``apps`` empty: all of them."""

    name: str
    url: str
    format: Literal["cdevents", "github", "gitlab"]
    repository: str = ""
    secret_file: str = ""
    apps: frozenset[str] = frozenset()

    def covers(self, app: str) -> bool:
        return not self.apps or app in self.apps


@dataclass(frozen=True)
class Happened:
    """An event as the audit has it, at its place there. ``release``: as it is now; ``address``: of
    its card."""

    place: str
    line: AuditLine
    release: Release
    address: str


class Receivers(Protocol):
    def send(self, receiver: Receiver, happened: Happened, part: int) -> bool:
        """Whether another part follows; ``part`` counts from 0. The same again does no harm. Raises
        ReceiverAway, ReceiverRefused."""


# --- people of Slack ------------------------------------------------------------------------------


class Directory(Protocol):
    """Slack people and groups."""

    def groups_of(self, user: str) -> frozenset[str]:
        """Ids of the person's user groups, cached for a minute. Raises SlackUnavailable when
        nothing is cached."""

    def memberships(self) -> Mapping[str, frozenset[str]]:
        """Who is in each user group, read now. Raises SlackUnavailable."""

    def kind_of(self, user: str) -> PersonKind:
        """What the account is, read now. Raises SlackUnavailable."""

    def home_team(self) -> str:
        """Id of the workspace that the app belongs to, read once and cached. Raises
        SlackUnavailable."""

    def channels_of(self, user: str) -> frozenset[str]:
        """Ids of the channels that the person is in and the bot can see, cached for a minute.
        Raises SlackUnavailable."""

    def name_of(self, user: str) -> str:
        """The name that Slack sends with commands and clicks, or the id when unknown."""
