"""One release in each state that people see, as values: the cards, lines and replies whose texts
are kept as goldens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, cast

from bot.commands.model import Suggestion
from bot.operations.replies import (
    CardLink,
    ComparisonReply,
    ConfirmReply,
    DocumentReply,
    FreezeReply,
    HelpReply,
    ListingReply,
    OpenFormReply,
    PlanReply,
    Receipt,
    Refusal,
    Reply,
    RollBackTo,
    StoryReply,
    TableReply,
    TextReply,
    WhoamiReply,
    WorsenedCard,
)
from bot.policy.freezes import Freeze
from bot.policy.permissions import Access, Grant, Role
from bot.ports import AuditLine, Message, Table
from bot.releases.facts.as_found import AsFound, DeploymentAsFound
from bot.releases.facts.card_snapshot import CardSnapshot, PodLine, Struggle, VersionCount
from bot.releases.facts.causes import Cause, FailureClass, Judgement, Verdict
from bot.releases.facts.changes import Deploy, Scale
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.intent import Drift, Field, Kind
from bot.releases.facts.people import Vote
from bot.releases.facts.plan import ApprovalGate, Condition, HoldGate, Plan, Step
from bot.releases.facts.release import (
    ClusterTrouble,
    GateState,
    Held,
    Outage,
    Phase,
    PlaceInLine,
    Progress,
    Release,
    Rollback,
    StepTime,
)
from bot.slack.blocks.abort_modal import abort_modal
from bot.slack.blocks.card import card
from bot.slack.blocks.elements import section
from bot.slack.blocks.reason_modal import finish_modal, reject_modal
from bot.slack.blocks.rendering import SlackRendering
from tests.blocks.fleet_stories import FLEETS
from tests.builders import (
    ADMIN,
    DEVELOPER,
    MANAGER,
    MINUTE,
    REPOSITORY,
    ROLLING_UPDATE,
    SECOND,
    SELECTOR,
    T0,
    a_bluegreen,
    a_canary,
    a_release,
    a_template,
)

NOW = T0 + 3 * MINUTE
_PROMOTE = ApprovalGate("promote", 1, False, 60 * MINUTE, "hold", "promote to all pods")
_SWITCH = ApprovalGate("switch", 2, False, 60 * MINUTE, "abort", "switch the traffic to 2.0.0")
_START = ApprovalGate("start", 1, False, 60 * MINUTE, "abort", "approve the start")
_ROLL = Step("roll", "roll hello to 2.0.0", (), (Condition.STABLE_COMPLETE,), 5 * MINUTE)
_FINISH = Step("finish", "let go of the Deployment", (), ())
_CANARY_STEPS = (
    Step(
        "share-25",
        "25% to 2.0.0: 1 canary pod beside 3",
        (),
        (Condition.CANDIDATE_COMPLETE,),
        5 * MINUTE,
        (HoldGate("hold", 2 * MINUTE, True, "hold at 25%"),),
        25,
        20,
        1,
        3,
    ),
    Step(
        "share-50",
        "50% to 2.0.0: 3 canary pods beside 3",
        (),
        (Condition.CANDIDATE_COMPLETE,),
        5 * MINUTE,
        (HoldGate("hold", 2 * MINUTE, True, "hold at 50%"), _PROMOTE),
        50,
        50,
        3,
        3,
    ),
    replace(_ROLL, title="promote hello to 2.0.0"),
    _FINISH,
)
_GREEN_STEPS = (
    Step(
        "green",
        "start 2.0.0 beside 1.0.0: 3 pods of hello-green",
        (),
        (Condition.CANDIDATE_COMPLETE,),
        5 * MINUTE,
        (_SWITCH,),
    ),
    Step(
        "switch",
        "switch traffic to 2.0.0",
        (),
        (Condition.SERVED_BY_CANDIDATE,),
        MINUTE,
        (HoldGate("window", 10 * MINUTE, title="rollback window", is_rollback_window=True),),
    ),
    Step(
        "settle",
        "clean up: roll hello to 2.0.0 while hello-green serves",
        (),
        (Condition.STABLE_COMPLETE,),
        5 * MINUTE,
        committed=True,
    ),
    Step(
        "remove",
        "clean up: remove hello-green",
        (),
        (Condition.CANDIDATE_GONE,),
        5 * MINUTE,
        committed=True,
    ),
)


def _plan(*steps: Step, **parts: object) -> Plan:
    facts = {"floor": 2, "deadline_ms": 5 * MINUTE, "hash": "0123456789ab", **parts}
    return Plan(f"{REPOSITORY}:2.0.0", "2.0.0", f"{REPOSITORY}:1.0.0", "1.0.0", (), steps, **facts)  # type: ignore[arg-type]  # facts of a plan


def _seen(*, old: int, new: int, candidates: int = 0, served_by: str = "both") -> CardSnapshot:
    """``served_by``: whose pods the Service reaches, as before and after the switch of
    blue/green."""
    olds, news = (
        (0 if served_by == "candidate" else old),
        (0 if served_by == "stable" else candidates),
    )
    counts = [VersionCount("stable", "1.0.0", False, old, old, olds)] if old else []
    counts += [VersionCount("stable", "2.0.0", True, new, new, new)] if new else []
    counts += (
        [VersionCount("candidate", "2.0.0", True, candidates, candidates, news)]
        if candidates
        else []
    )
    pods = tuple(
        PodLine(
            f"hello-1-{i}",
            "stable",
            "1.0.0",
            f"{REPOSITORY}:1.0.0",
            True,
            "Running",
            0,
            "node-1",
            T0,
            False,
        )
        for i in range(old)
    )
    share = round(100 * news / (olds + new + news)) if candidates else None
    since = T0 + MINUTE if served_by == "candidate" else 0
    serving = cast(Literal["stable", "candidate", "both"], served_by if candidates else "stable")
    return CardSnapshot(3, new, old + new, tuple(counts), pods, len(pods), serving, share, since)


def _begun(release: Release, plan: Plan, **parts: object) -> Release:
    facts = {
        "plan": plan,
        "from_version": "1.0.0",
        "to_version": "2.0.0",
        "started_at": T0,
        "progress": Progress(began_at=T0),
        **parts,
    }
    return replace(release, command="deploy hello 2.0.0", **facts)  # type: ignore[arg-type]  # facts of a release


ROLLING = _begun(
    a_release(), _plan(_ROLL, _FINISH), phase=Phase.PROGRESSING, card_snapshot=_seen(old=2, new=1)
)
CANARY = _begun(
    replace(a_canary(), reason="faster start"),
    _plan(
        *_CANARY_STEPS,
        candidate="hello-canary",
        notes=("20% was asked, 25% can be reached with 3 pods",),
    ),
    card_snapshot=_seen(old=3, new=0, candidates=3),
)
GREEN = _begun(
    a_bluegreen(),
    _plan(*_GREEN_STEPS, candidate="hello-green"),
    card_snapshot=_seen(old=3, new=0, candidates=3),
)
CAUSE = Cause(
    FailureClass.PERMANENT,
    "2 of 3 new pods: ErrImagePull (manifest unknown)",
    ("hello-2-a: ErrImagePull: manifest unknown", "hello-2-b: ErrImagePull: manifest unknown"),
)
HOLDING = replace(
    CANARY,
    phase=Phase.HOLDING,
    progress=Progress(0, T0, gate=GateState(0, 0, T0 + MINUTE)),
    card_snapshot=replace(_seen(old=3, new=0, candidates=1), share=14, others=3),
)
PROMOTING = replace(
    CANARY,
    phase=Phase.AWAITING_PROMOTION,
    progress=Progress(1, T0, gate=GateState(1, 1, T0 + 2 * MINUTE)),
    judgements=(Judgement(T0 + 2 * MINUTE, Verdict.GOOD, "0 restarts of 3 candidate pods"),),
)
AS_FOUND = AsFound(
    "uid-cluster",
    T0,
    DeploymentAsFound("hello", "uid", a_template(), 3, False, SELECTOR, ROLLING_UPDATE, {}, {}, 1),
    (),
)
SUCCEEDED = replace(
    ROLLING,
    as_found=AS_FOUND,
    phase=Phase.SUCCEEDED,
    progress=replace(ROLLING.progress, at_step=2),
    finished_at=T0 + 42 * SECOND,
    card_snapshot=_seen(old=0, new=3),
    timeline=(StepTime("roll hello to 2.0.0", T0, T0 + 42 * SECOND),),
)
PAUSED_FAILED = replace(ROLLING, phase=Phase.PAUSED, cause=CAUSE)
ROLLED_BACK = replace(
    ROLLING,
    as_found=AS_FOUND,
    phase=Phase.ROLLED_BACK,
    rollback=Rollback(Phase.ROLLED_BACK),
    cause=CAUSE,
    finished_at=T0 + MINUTE,
    timeline=(
        StepTime("roll hello to 2.0.0", T0, T0 + 59 * SECOND, cut=True),
        StepTime("back to 1.0.0", T0 + 59 * SECOND, T0 + MINUTE),
    ),
    card_snapshot=_seen(old=3, new=0),
)

HELD = replace(
    a_release(Deploy("3.0.0"), command="deploy hello 3.0.0"),
    id="hello-43",
    to_version="3.0.0",
    queued_behind="hello-42",
    held=Held("hello-42", T0, ids=("hello-43", "hello-44"), people=(DEVELOPER, MANAGER)),
    phase_since=T0,
)
HELD_EVENT = Event(
    T0, EventKind.HELD, "hello-42 was rolled back, so 3.0.0 (hello-43), 4.0.0 (hello-44) wait"
)

CARDS: dict[str, Release] = {
    **FLEETS,
    "second in line": replace(
        a_release(command="deploy hello 2.0.0"),
        queued_behind="hello-41",
        in_line=PlaceInLine(
            2, "https://example.slack.com/archives/C0RELEASES/p1795000000000100", T0 + MINUTE
        ),
    ),
    "held in the queue": HELD,
    "dropped from the queue": replace(
        HELD,
        phase=Phase.EXPIRED,
        cause=Cause(
            FailureClass.REQUEST, "dropped: nobody decided within 1 h after hello-42 ended"
        ),
        finished_at=T0 + 60 * MINUTE,
    ),
    "queued behind another": replace(
        a_release(command="deploy hello 2.0.0"), queued_behind="hello-41"
    ),
    "refused": replace(
        a_release(),
        phase=Phase.FAILED,
        cause=Cause(FailureClass.REFUSED, "hello already runs 2.0.0."),
        finished_at=T0 + SECOND,
    ),
    "waiting for approval to start": replace(
        ROLLING,
        phase=Phase.AWAITING_APPROVAL,
        plan=replace(_plan(_ROLL, _FINISH), start=(_START,)),
        progress=Progress(-1, T0, gate=GateState(-1, 0, T0 + MINUTE)),
        started_at=0,
        card_snapshot=_seen(old=3, new=0),
    ),
    "rolling": ROLLING,
    "crash loop that does not count yet": replace(
        ROLLING,
        card_snapshot=replace(
            _seen(old=2, new=1),
            struggle=Struggle("CrashLoopBackOff", 3, 3, 2, is_crash=True, counts_at=T0 + MINUTE),
        ),
    ),
    "readiness that fails": replace(
        ROLLING,
        card_snapshot=replace(
            _seen(old=2, new=1), struggle=Struggle("the readiness probe fails", 1, 3)
        ),
    ),
    "paused by a person": replace(
        ROLLING, phase=Phase.PAUSED, phase_since=T0, paused_from=Phase.PROGRESSING
    ),
    "scaling": replace(ROLLING, change=Scale(5), from_version="3 pods", to_version="5 pods"),
    "canary holding": HOLDING,
    "canary waiting for approval": PROMOTING,
    "canary being promoted": replace(
        CANARY,
        phase=Phase.PROGRESSING,
        progress=Progress(at_step=2, began_at=T0 + 5 * MINUTE),
        passed=("hold", "hold", "promote: manager"),
        card_snapshot=_seen(old=3, new=0, candidates=3),
    ),
    "bluegreen waiting for the switch": replace(
        GREEN,
        phase=Phase.AWAITING_PROMOTION,
        progress=Progress(
            0, T0, gate=GateState(0, 0, T0 + MINUTE, (Vote(MANAGER, T0 + 2 * MINUTE),))
        ),
        card_snapshot=_seen(old=3, new=0, candidates=3, served_by="stable"),
    ),
    "bluegreen in its rollback window": replace(
        GREEN,
        phase=Phase.HOLDING,
        progress=Progress(1, T0, gate=GateState(1, 0, T0 + MINUTE)),
        card_snapshot=_seen(old=3, new=0, candidates=3, served_by="candidate"),
    ),
    "paused by a failure": PAUSED_FAILED,
    "drifted": replace(
        ROLLING,
        phase=Phase.DRIFTED,
        drift=(
            Drift(
                "hello", Kind.DEPLOYMENT, Field.REPLICAS, "3", "5", "kubectl, subresource scale", T0
            ),
        ),
    ),
    "cluster away": replace(ROLLING, unreachable=Outage(T0 + MINUTE, "connection refused")),
    "environment": replace(
        ROLLING,
        progress=replace(
            ROLLING.progress,
            trouble=ClusterTrouble(
                Cause(FailureClass.ENVIRONMENT, "1 pod: Unschedulable (0/3 nodes)"), T0 + MINUTE
            ),
        ),
    ),
    "rolling back": replace(
        ROLLING,
        phase=Phase.ROLLING_BACK,
        rollback=Rollback(
            Phase.ROLLED_BACK, (replace(_ROLL, name="back", title="back to 1.0.0"), _FINISH)
        ),
        cause=CAUSE,
    ),
    "succeeded": SUCCEEDED,
    "rolled back": ROLLED_BACK,
    "aborted": replace(
        CANARY,
        phase=Phase.ABORTED,
        rollback=Rollback(Phase.ABORTED),
        cause=Cause(FailureClass.REQUEST, "aborted by developer: error rate"),
        finished_at=NOW,
        card_snapshot=_seen(old=3, new=0),
    ),
    "aborted with an adopted hotfix": replace(
        ROLLING,
        phase=Phase.ABORTED,
        rollback=Rollback(Phase.ABORTED),
        cause=Cause(FailureClass.DRIFT, "developer kept a change made outside this release"),
        finished_at=NOW,
        card_snapshot=replace(
            _seen(old=0, new=0), versions=(VersionCount("stable", "hotfix", False, 4, 4, 4),)
        ),
    ),
    "expired": replace(
        PROMOTING,
        phase=Phase.EXPIRED,
        rollback=Rollback(Phase.EXPIRED),
        cause=Cause(FailureClass.REQUEST, "nobody approved within 60 min"),
        finished_at=NOW,
        card_snapshot=_seen(old=3, new=0),
    ),
    "rejected": replace(
        PROMOTING,
        phase=Phase.REJECTED,
        rollback=Rollback(Phase.REJECTED),
        cause=Cause(FailureClass.REQUEST, "rejected by manager: not today"),
        finished_at=NOW,
        card_snapshot=_seen(old=3, new=0),
    ),
}

ASKED = Event(
    T0 + 2 * MINUTE,
    EventKind.GATE_OPENED,
    f"waiting for 1 approval: {_PROMOTE.title or _PROMOTE.name}",
    step="share-50",
)
EVENTS: dict[str, tuple[Release, Event]] = {
    "step done": (
        ROLLING,
        Event(T0, EventKind.STEP_DONE, "done in 42 s: roll hello to 2.0.0", step="roll"),
    ),
    "approved": (
        PROMOTING,
        Event(T0, EventKind.VOTED, "manager approved promote (1 of 1)", by=MANAGER),
    ),
    "failure": (
        replace(
            ROLLING, rollback=Rollback(Phase.ROLLED_BACK), phase=Phase.ROLLING_BACK, cause=CAUSE
        ),
        Event(T0, EventKind.FAILURE, CAUSE.summary, evidence=CAUSE.evidence),
    ),
    "failure that is over": (
        ROLLED_BACK,
        Event(T0 + 59 * SECOND, EventKind.FAILURE, CAUSE.summary, evidence=CAUSE.evidence),
    ),
    "verdict that was decided": (
        replace(
            PROMOTING,
            phase=Phase.AWAITING_PROMOTION,
            phase_since=T0 + MINUTE,
            cause=Cause(FailureClass.VERDICT, "2 restarts"),
        ),
        Event(T0, EventKind.PAUSED, "The candidate looks worse: 2 restarts."),
    ),
    "verdict that asks": (
        replace(
            CANARY,
            phase=Phase.PAUSED,
            cause=Cause(FailureClass.VERDICT, "no candidate pod was ready for the whole 120 s"),
        ),
        Event(
            T0,
            EventKind.PAUSED,
            "Too little to say whether it is good: no candidate pod was ready for the whole 120 s."
            " Resume to continue, or abort to roll back.",
        ),
    ),
    "queue that is held": (HELD, HELD_EVENT),
    "queue that was continued": (replace(HELD, held=None), HELD_EVENT),
    "failure that pauses": (
        PAUSED_FAILED,
        Event(T0, EventKind.FAILURE, CAUSE.summary, evidence=CAUSE.evidence),
    ),
    "succeeded": (SUCCEEDED, Event(T0 + 42 * SECOND, EventKind.FINISHED, "hello is on 2.0.0")),
    "rolled back": (
        ROLLED_BACK,
        Event(T0, EventKind.FINISHED, f"hello is back on 1.0.0, rolled back: {CAUSE.summary}"),
    ),
    "approval that is asked for": (PROMOTING, ASKED),
    "approval that was given": (
        replace(
            PROMOTING,
            phase=Phase.PROGRESSING,
            progress=Progress(at_step=2, began_at=T0 + 3 * MINUTE),
            passed=("hold", "hold", "promote: manager"),
        ),
        ASKED,
    ),
    "approval that was refused": (
        replace(
            PROMOTING,
            phase=Phase.ROLLING_BACK,
            rollback=Rollback(Phase.REJECTED),
            progress=Progress(at_step=-1, began_at=T0 + 3 * MINUTE),
            cause=Cause(FailureClass.REQUEST, "rejected by manager: not today"),
        ),
        ASKED,
    ),
    "reminded": (PROMOTING, Event(T0, EventKind.REMINDED, "still waiting for approval: promote")),
}

STORY = replace(
    PROMOTING,
    phase=Phase.SUCCEEDED,
    as_found=AS_FOUND,
    progress=Progress(at_step=4, began_at=T0 + 7 * MINUTE),
    passed=("hold", "hold", "promote: manager"),
    finished_at=T0 + 7 * MINUTE,
    timeline=(
        StepTime(
            "25% to 2.0.0: 1 canary pod beside 3",
            T0,
            T0 + 130 * SECOND,
            reached_at=T0 + 10 * SECOND,
        ),
        StepTime("50% to 2.0.0: 3 canary pods beside 3", T0 + 130 * SECOND, T0 + 6 * MINUTE),
        StepTime("promote hello to 2.0.0", T0 + 6 * MINUTE, T0 + 7 * MINUTE),
    ),
    card_snapshot=_seen(old=1, new=2),
)
EVENTS["canary that succeeded"] = (
    STORY,
    Event(T0 + 7 * MINUTE, EventKind.FINISHED, "hello is on 2.0.0"),
)
_PODS = Table(
    "hello: stable",
    ("pod", "image", "ready"),
    (("hello-1-a", f"{REPOSITORY}:1.0.0", "yes"), ("안녕-1-b", "이미지:1", "no")),
)
_HEAD = (
    "GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n\nFIELD: strategy"
    " <DeploymentStrategy>\n\n\nDESCRIPTION:\n"
)
EXPLAINED = (
    _HEAD
    + """\
    The deployment strategy to use to replace existing pods with new ones.
    DeploymentStrategy describes how to replace existing pods with new ones.
    More info: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/.

FIELDS:
  rollingUpdate\t<RollingUpdateDeployment>
    Rolling update config params. Present only if DeploymentStrategyType =
    RollingUpdate.

  type\t<string> -required-
  enum: Recreate, RollingUpdate
    Type of deployment. Can be "Recreate" or "RollingUpdate". Default is
    RollingUpdate.

    Possible enum values:
     - `"Recreate"` Kill all existing pods before creating new ones.
     - `"RollingUpdate"` Replace the old ReplicaSets by new one using rolling
    update i.e gradually scale down the old ReplicaSets and scale up the new
    one."""
)
EXPLAINED_TREE = (
    _HEAD
    + """\
    The deployment strategy to use to replace existing pods with new ones.

FIELDS:
  rollingUpdate\t<RollingUpdateDeployment>
    maxSurge\t<IntOrString>
    maxUnavailable\t<IntOrString>
  type\t<string>
  enum: Recreate, RollingUpdate"""
)

REPLIES: dict[str, Reply] = {
    "text": TextReply("all is no longer frozen"),
    "freeze": FreezeReply(Freeze("all", "incident", ADMIN, NOW, NOW + 7_200_000)),
    "freeze that is over": FreezeReply(Freeze("all", "incident", ADMIN, NOW), over="lifted by ada"),
    "status of a running release": TableReply(
        (Table("Rollout status", ("APP", "RELEASE"), (("hello", "hello-42: holding"),)),),
        share="t0ken",
        cards=(CardLink("hello-42", "holding", "https://example.slack.com/archives/C0/p1"),),
    ),
    "refusal": Refusal("No app `helo`. Did you mean `hello`?", "/deploy hello 2.0.0"),
    "refusal that asks back": Refusal(
        "Which app? `hello` or `auth`",
        "",
        (
            Suggestion(
                "/deploy hello 2.0.0", "confirm", "hello 1.0.0 → 2.0.0, in default on local."
            ),
            Suggestion("/deploy auth 2.0.0", "confirm", "auth → 2.0.0, in default on local."),
        ),
        "t0ken",
    ),
    "refusal that offers the form": Refusal(
        "No app `helo`. Did you mean `hello`?",
        "",
        (Suggestion("/deploy hello 2.0.0", "form"),),
        "t0ken",
    ),
    "roll back that asks": ConfirmReply(
        "Roll back hello to 1.0.0?",
        ("hello 2.0.0 → 1.0.0, in default on local.",),
        "Roll back",
        "",
        roll_back="hello-42",
    ),
    "roll back that is void": Refusal(
        "hello was changed since hello-42 ended: it runs hotfix now. That button is void.",
        "Nothing was changed. To roll back: `/rollout undo hello`.",
    ),
    "refusal of the same version": Refusal(
        "hello already runs 2.0.0.",
        "",
        (
            Suggestion(
                "/rollout restart hello",
                "confirm",
                "This runs rollout restart hello, in default on local.",
                "Restart it",
            ),
        ),
        "t0ken",
    ),
    "refusal of too many steps": Refusal(
        "hello has 3 replicas and at most 3 candidates: 25%, 40%, 50% are possible. Use fewer"
        " steps.",
        "",
        (Suggestion("/deploy hello 2.0.0 canary steps=25,40,50", label="steps=25,40,50"),),
        "t0ken",
    ),
    "refusal that names who can": Refusal(
        "Approving needs the approver role.", who=("S0OPS", "U0MANAGER"), ask="hello-42"
    ),
    "which version": OpenFormReply("hello"),
    "receipt": Receipt(a_release(), True),
    "receipt elsewhere": Receipt(a_release(), True, elsewhere=True),
    "the same again": Receipt(HOLDING, False),
    "receipt of one that waits": Receipt(a_release(), True, behind="hello-41"),
    "listing to share": ListingReply("Releases", (SUCCEEDED,), share="t0ken"),
    "pods": TableReply((_PODS, replace(_PODS, title="hello: candidate"))),
    "explanation": DocumentReply("deployment.spec.strategy", EXPLAINED, explains=True),
    "explanation of a tree": DocumentReply(
        "deployment.spec.strategy", EXPLAINED_TREE, explains=True
    ),
    "document": DocumentReply("pod.spec", "KIND: Pod\nFIELD: spec <PodSpec>"),
    "help": HelpReply(None),
    "help for deploy": HelpReply("deploy"),
    "whoami": WhoamiReply(
        DEVELOPER,
        ("S0DEV",),
        ("viewer",),
        "C0RELEASES",
        True,
        "access: {roles: {deployer: {users: [U0DEV1]}}}",
    ),
    "plan": PlanReply(CANARY, CANARY.plan) if CANARY.plan else TextReply(""),
    "confirm": ConfirmReply(
        "Apply hello?", ("update Deployment hello", "- a", "+ b"), "Apply", "t0ken"
    ),
    "story": StoryReply(
        STORY,
        (
            AuditLine(
                T0 + 2 * MINUTE,
                "hello-42",
                "hello",
                "voted",
                "manager approved promote (1 of 1)",
                "manager",
            ),
            AuditLine(
                T0 + 5 * MINUTE, "hello-42", "hello", "resumed", "developer resumed it", "developer"
            ),
        ),
        "https://example.slack.com/archives/C0RELEASES/p1800000000000100",
        "t0ken",
    ),
    "comparison": ComparisonReply(
        STORY,
        (
            ("replicas", "3", "5"),
            ("env MODE of hello", "nothing", "set"),
            ("containers.hello.image", f"{REPOSITORY}:1.0.0", f"{REPOSITORY}:2.0.0"),
        ),
        "Before: as hello-42 found it. After: as the cluster is now.",
        "t0ken",
    ),
    "listing": ListingReply("Releases", (SUCCEEDED, replace(ROLLED_BACK, requested_by=ADMIN))),
}

RENDERING = SlackRendering(
    ("hello", "auth"), access=Access(roles={Role.APPROVER: Grant(users=frozenset({MANAGER.user}))})
)
CARD_ADDRESS = "https://example.slack.com/archives/C0RELEASES/p1795000000000100"


def messages() -> dict[str, Message]:
    found = {f"card {name}": card(release, now=NOW) for name, release in CARDS.items()}
    found["card as it is first posted"] = card(
        CARDS["waiting for approval to start"], now=NOW, first=True
    )
    for name, (release, event) in EVENTS.items():
        in_thread = event.kind is EventKind.FINISHED
        told = RENDERING.announcement(release, event, "" if in_thread else CARD_ADDRESS)
        assert told is not None
        found[f"{'loud' if told[1] else 'quiet'} {name}"] = told[0]
    found |= {f"reply {name}": RENDERING.reply(reply, now=NOW) for name, reply in REPLIES.items()}
    found |= {f"loud {name}": RENDERING.worsened(one) for name, one in WORSENED.items()}
    return found | {f"dialog {name}": _dialog(view) for name, view in DIALOGS.items()}


def _dialog(view: Mapping[str, Any]) -> Message:
    """Its text, and each field in words."""
    blocks = [
        block if block["type"] == "section" else section(_field(block)) for block in view["blocks"]
    ]
    return Message(f"{view['title']['text']} [{view['submit']['text']}]", tuple(blocks))


def _field(block: Mapping[str, Any]) -> str:
    choices = [one["text"]["text"] for one in block["element"].get("options", ())]
    return " ".join([f"{block['label']['text']}:", *(f"({one})" for one in choices)])


_UNREADY = Cause(
    FailureClass.PERSISTENT,
    "only 1 of 3 pods ready for 2 min",
    ("hello-7d9c-b is not ready", "hello-7d9c-c is not ready"),
)
_COMPARED = "Before, on 1.0.0: 3 of 3 pods available. After, on 2.0.0: 1 of 3 pods ready."
_BACK = RollBackTo("hello", 1, "2.0.0", "1.0.0", "5f0c1d9e2ab4")
WORSENED = {
    "worse after success": WorsenedCard(
        SUCCEEDED, _UNREADY, _COMPARED, _BACK, locks_machines=True, card=CARD_ADDRESS
    ),
    "worse after success without a way back": WorsenedCard(SUCCEEDED, _UNREADY, _COMPARED),
}
WAITING = (HELD, replace(HELD, id="hello-44", to_version="4.0.0"))
DIALOGS = {
    "abort with a queue": abort_modal(CANARY, WAITING, {}),
    "reject": reject_modal(PROMOTING, {}),
    "finish a fleet": finish_modal(FLEETS["fleet with a failed part"], {}),
}
