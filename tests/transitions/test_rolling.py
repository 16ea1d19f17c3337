"""Rolling, scaling and restarting: one decision a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.engine.decide import decide
from bot.releases.facts.actions import PatchDeployment
from bot.releases.facts.changes import Deploy, Reapply, Restart, Undo
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import AutoscalerSeen, DeploymentSeen, Survey, Unreachable
from bot.releases.facts.plan import ApprovalGate, DeploymentGoal
from bot.releases.facts.release import Phase
from bot.releases.planning.draft import RESTARTED_AT, app_container
from bot.releases.planning.draining import with_sleep
from tests.builders import (
    MINUTE,
    REPOSITORY,
    SECOND,
    T0,
    a_container,
    a_deployment,
    a_pod,
    a_release,
    a_replica_set,
    a_rolling_deployment,
    a_rolling_update,
    a_scaling,
    a_service,
    a_target,
    a_template,
    an_observation,
    pods_for,
    rules_with,
    without_stable,
)
from tests.transitions.ticks import (
    changes_of,
    claimed,
    half_rolled,
    kinds,
    patched,
    planned,
    rolled,
    rolling,
    scaled,
    text_of,
)


def refusal(release: object, seen: object) -> str:
    """Why the release does not start; and nothing is written."""
    decision = decide(release, seen, T0)  # type: ignore[arg-type]
    assert decision.release.phase is Phase.FAILED and not decision.actions, decision.release.phase
    assert decision.release.cause is not None and "\n" not in decision.release.cause.summary
    return decision.release.cause.summary


def test_the_first_tick_saves_the_original_state_and_writes_nothing() -> None:
    decision = decide(a_release(), an_observation(), T0)
    assert decision.actions == ()
    assert (
        decision.release.as_found is not None
        and decision.release.as_found.stable.template == a_template()
    )


def test_the_hash_of_a_plan_changes_with_the_original_state() -> None:
    plans = [
        planned(a_release(), an_observation(a_deployment(replicas=count))).plan
        for count in (3, 3, 4)
    ]
    hashes = [plan.hash for plan in plans if plan is not None]
    assert hashes[0] == hashes[1] != hashes[2]


def test_template_claim_and_change_cause_are_one_patch_bound_to_uid_and_absent_claim() -> None:
    decision = decide(planned(), an_observation(), T0)
    (patch,) = decision.actions
    assert isinstance(patch, PatchDeployment)
    assert (patch.uid, patch.claim) == ("uid-hello", "")
    assert {change.field for change in patch.changes} == {
        Field.CLAIM,
        Field.TEMPLATE,
        Field.CHANGE_CAUSE,
    }


def test_only_the_containers_image_changes_in_the_template() -> None:
    template = changes_of(decide(planned(), an_observation(), T0))[Field.TEMPLATE]
    assert template == a_template("2.0.0")


def test_the_version_label_follows_the_image_where_the_catalog_names_one() -> None:
    labels = {"app": "hello", "version": "1.0.0"}
    seen = an_observation(a_deployment(template=a_template(labels=labels)))
    release = planned(a_release(target=a_target(version_label="version")), seen)
    template = changes_of(decide(release, seen, T0))[Field.TEMPLATE]
    assert template == a_template("2.0.0", labels={"app": "hello", "version": "2.0.0"})


def test_a_half_rolled_deployment_is_only_followed() -> None:
    decision = decide(rolling(), half_rolled(new=2, old=1), T0 + SECOND)
    assert decision.actions == () and decision.release.phase is Phase.PROGRESSING


def test_a_missed_deadline_names_what_is_wrong_with_the_new_pods() -> None:
    """The numbers of the whole Deployment count the old pods: "3 of 3 available"."""
    running = a_container(ready=False, running_since=T0)
    pod = a_pod("hello-2-a", ready=False, phase="Running", containers=(running,), created_at=T0)
    seen = half_rolled()
    assert seen.stable is not None
    new, old = seen.stable.replica_sets
    sets = (replace(new, pods=(pod,)), old)
    late = replace(seen, stable=replace(seen.stable, replica_sets=sets), at=T0 + 10 * MINUTE)
    cause = decide(rolling(), late, T0 + 10 * MINUTE).release.cause
    assert cause is not None
    assert cause.summary == "not complete after 6 min (the new pod: running, but not ready)"


def test_a_complete_roll_releases_the_claim_and_then_succeeds() -> None:
    release = rolling()
    letting_go = decide(release, rolled(), T0 + SECOND)
    assert changes_of(letting_go) == {Field.CLAIM: ""}
    free = an_observation(a_rolling_deployment(new=3, old=0))
    done = decide(letting_go.release, free, T0 + 2 * SECOND)
    assert done.release.phase is Phase.SUCCEEDED and done.wake_at is None


def test_a_status_from_before_the_patch_is_not_complete() -> None:
    seen = an_observation(claimed(a_rolling_deployment(new=3, old=0, observed_generation=1)))
    assert decide(rolling(), seen, T0).release.progress.at_step == 0


def test_a_final_release_decides_nothing_more() -> None:
    done = replace(rolling(), phase=Phase.SUCCEEDED)
    assert decide(done, half_rolled(), T0).actions == ()


def test_an_outage_holds_the_release_and_is_recorded_once() -> None:
    first = decide(rolling(), Unreachable(T0, "timed out"), T0)
    second = decide(first.release, Unreachable(T0 + SECOND, "timed out"), T0 + SECOND)
    assert (kinds(first), kinds(second)) == ([EventKind.UNREACHABLE], [])
    assert first.actions == second.actions == () and second.release.phase is Phase.PROGRESSING
    assert second.wake_at is not None and second.wake_at > T0 + SECOND


def test_time_without_the_cluster_does_not_count_against_the_deadline() -> None:
    away = decide(rolling(), Unreachable(T0, "refused"), T0).release
    back = decide(away, half_rolled(), T0 + 10 * MINUTE)
    assert back.release.phase is Phase.PROGRESSING and kinds(back) == [EventKind.REACHABLE]


# --- scale, restart, undo -------------------------------------------------------------------------


def test_scaling_writes_the_replicas_alone() -> None:
    decision = decide(planned(a_scaling(5)), an_observation(), T0)
    assert changes_of(decision) == {Field.CLAIM: "hello-42", Field.REPLICAS: 5}


def test_scaling_ends_when_all_replicas_are_ready() -> None:
    decision = decide(patched(a_scaling(5)), scaled(5), T0 + SECOND)
    assert changes_of(decision) == {Field.CLAIM: ""}


def test_a_restart_stamps_the_template_as_kubectl_does() -> None:
    template = changes_of(decide(planned(a_release(Restart())), an_observation(), T0))[
        Field.TEMPLATE
    ]
    assert template == {
        **a_template(),
        "metadata": {"labels": {"app": "hello"}, "annotations": {RESTARTED_AT: str(T0 // 1000)}},
    }


def test_an_undo_writes_the_chosen_template_back_exactly() -> None:
    old = a_template("0.9.0")
    assert (
        changes_of(decide(planned(a_release(Undo(template=old))), an_observation(), T0))[
            Field.TEMPLATE
        ]
        == old
    )


def test_an_undo_starts_on_a_deployment_that_is_half_rolled() -> None:
    seen = an_observation(a_rolling_deployment(new=1, old=3, new_ready=0))
    assert planned(a_release(Undo(template=a_template())), seen).phase is Phase.PROGRESSING


# --- what cannot start ----------------------------------------------------------------------------


def a_seen(**facts: object) -> object:
    return an_observation(a_deployment(**facts))  # type: ignore[arg-type]


REFUSED: dict[str, tuple[object, object, str]] = {
    "no Deployment": (
        a_release(),
        without_stable(an_observation()),
        "There is no Deployment `hello`",
    ),
    "paused": (a_release(), a_seen(paused=True), "hello is paused. Resume it first"),
    "half-rolled": (
        a_release(),
        an_observation(a_rolling_deployment(new=1, old=3, new_ready=0)),
        "hello is half-rolled",
    ),
    "unhealthy": (a_release(), a_seen(available=1), "hello is not healthy (1 of 3 available"),
    "claimed": (
        a_release(),
        a_seen(annotations={"pilothouse.dev/release": "hello-7"}),
        "hello is claimed by release hello-7",
    ),
    "same version": (a_release(Deploy("1.0.0")), an_observation(), "hello already runs 1.0.0"),
    "no such version": (
        a_release(Deploy("not a tag")),
        an_observation(),
        "`not a tag` is not a version",
    ),
    "foreign image": (
        a_release(Deploy("evil/hello:2.0.0")),
        an_observation(),
        "Images of `evil/hello` are not allowed here",
    ),
    "no Service": (a_release(), an_observation(services=()), "There is no Service `hello`"),
    "Argo CD": (
        a_release(),
        a_seen(annotations={"argocd.argoproj.io/tracking-id": "hello"}),
        "managed elsewhere: Argo CD",
    ),
    "Helm": (
        a_release(),
        a_seen(annotations={"meta.helm.sh/release-name": "hello"}),
        "managed elsewhere: Helm",
    ),
    "Apply manager": (
        a_release(),
        a_seen(
            managers=(("gitops", "Apply", "", "spec.template.spec.containers[name=hello].image"),)
        ),
        "managed elsewhere: gitops (applies spec.template.spec.containers[name=hello].image)",
    ),
    "Argo CD without a mark": (
        a_release(),
        a_seen(
            managers=(
                (
                    "argocd-controller",
                    "Update",
                    "",
                    "spec.template.spec.containers[name=hello].image",
                ),
            )
        ),
        "managed elsewhere: argocd-controller (wrote spec.template.spec.containers[name=hello]",
    ),
    "an operator": (
        a_release(),
        a_seen(owner="WebApp shop"),
        "managed elsewhere: WebApp shop (its ownerReferences) would revert the change",
    ),
    "a version that is no label value": (
        a_release(Deploy("2.0.0-"), target=a_target(version_label="version")),
        an_observation(),
        "`2.0.0-` cannot be the value of the label version",
    ),
    "scale below 0": (a_scaling(-1), an_observation(), "cannot be negative"),
    "scale out of bounds": (
        a_scaling(60, rules=rules_with(scale_min=1, scale_max=50)),
        an_observation(),
        "1 to 50 replicas, not 60",
    ),
    "scale with HPA": (
        a_scaling(5),
        an_observation(survey=Survey(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 9),))),
        "HorizontalPodAutoscaler hello-hpa keeps hello between 2 and 9",
    ),
    "scale while half-rolled": (
        a_scaling(9),
        an_observation(a_rolling_deployment(new=1, old=3)),
        "hello is",
    ),
    "scale to the same": (a_scaling(3), an_observation(), "hello already has 3 replicas"),
    "undo to the same": (
        a_release(Undo(template=a_template())),
        an_observation(),
        "already runs that template",
    ),
    "undo to nothing": (a_release(Undo()), an_observation(), "no earlier revision"),
    "several containers": (
        a_release(),
        a_seen(template={"metadata": {}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
        "Name one as `container:` in the catalog",
    ),
    "version label in own selector": (
        a_release(target=a_target(version_label="version")),
        a_seen(
            template=a_template(labels={"app": "hello", "version": "1.0.0"}),
            selector={"matchLabels": {"app": "hello", "version": "1.0.0"}},
        ),
        "the label version is in its own selector",
    ),
    "version in the Service": (
        a_release(target=a_target(version_label="version")),
        an_observation(
            a_deployment(template=a_template(labels={"app": "hello", "version": "1.0.0"})),
            services=(a_service(selector={"app": "hello", "version": "1.0.0"}),),
        ),
        "Service hello selects version=1.0.0, but the new pods of hello have version=2.0.0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_release_that_cannot_run_is_refused_in_one_line_and_nothing_changes(name: str) -> None:
    release, seen, line = REFUSED[name]
    assert line in refusal(release, seen)


def test_managed_elsewhere_is_only_a_note_where_the_catalog_says_warn() -> None:
    seen = an_observation(a_deployment(annotations={"meta.helm.sh/release-name": "hello"}))
    plan = planned(a_release(rules=rules_with(managed_elsewhere="warn")), seen).plan
    assert plan is not None and "managed elsewhere: Helm" in plan.notes[0]


def test_a_helm_that_wrote_other_fields_alone_is_not_elsewhere() -> None:
    managers = (("helm", "Update", "", "spec.template.spec.containers[name=hello].resources"),)
    seen = an_observation(a_deployment(managers=managers))
    assert planned(a_release(), seen).phase is Phase.PROGRESSING


def test_the_field_managers_of_pilothouse_itself_are_not_elsewhere() -> None:
    managers = (
        ("pilothouse-apply", "Apply", "", "spec.template.spec.containers[name=hello].image"),
    )
    assert (
        planned(a_release(), an_observation(a_deployment(managers=managers))).phase
        is Phase.PROGRESSING
    )


# --- floor, deadline, downtime --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "floor"),
    [
        (4, "25%", "25%", 3),
        (5, "25%", "25%", 4),
        (3, "25%", "25%", 3),
        (10, 0, "30%", 7),
        (3, 0, "10%", 2),
        (2, 5, 2, 0),
    ],
)
def test_the_plan_states_the_floor_that_the_deployments_own_rule_gives(
    replicas: int, surge: int | str, unavailable: int | str, floor: int
) -> None:
    seen = an_observation(
        a_deployment(replicas=replicas, strategy=a_rolling_update(surge, unavailable))
    )
    plan = planned(a_release(), seen).plan
    assert plan is not None and plan.floor == floor


@pytest.mark.parametrize(
    ("replicas", "usual", "minutes"),
    [(3, 0, 6), (50, 0, 5), (3, 10 * MINUTE, 60), (3, SECOND, 5)],
)
def test_the_deadline_follows_history_or_waves_and_is_at_least_5_minutes(
    replicas: int, usual: int, minutes: int
) -> None:
    plan = planned(a_release(usual_ms=usual), an_observation(a_deployment(replicas=replicas))).plan
    assert plan is not None and plan.deadline_ms == minutes * MINUTE


@pytest.mark.parametrize(
    ("min_ready", "progress", "minutes"),
    [(60, 600, 9), (0, 1200, 20), (0, 480, 8), (0, 60, 6), (0, 600, 6), (0, 2**31 - 1, 6)],
)
def test_the_deployments_own_times_belong_to_the_deadline(
    min_ready: int, progress: int, minutes: int
) -> None:
    stable = a_deployment(min_ready_seconds=min_ready, progress_deadline_seconds=progress)
    plan = planned(a_release(), an_observation(stable)).plan
    assert plan is not None and plan.deadline_ms == minutes * MINUTE


APPLIED = {
    "kubectl.kubernetes.io/last-applied-configuration": '{"spec":{"progressDeadlineSeconds":600}}'
}


@pytest.mark.parametrize(
    "stated",
    [
        {"annotations": APPLIED},
        {"managers": (("kubectl", "Apply", "", "spec.progressDeadlineSeconds"),)},
    ],
)
def test_ten_minutes_that_someone_applied_are_no_default(stated: Any) -> None:
    stable = a_deployment(progress_deadline_seconds=600, **stated)
    plan = planned(a_release(), an_observation(stable)).plan
    assert plan is not None and plan.deadline_ms == 10 * MINUTE


def test_the_history_does_not_hide_a_changed_minimum() -> None:
    """Earlier waves took a minute; since then pods have to stay ready for five."""
    stable = a_deployment(min_ready_seconds=300)
    plan = planned(a_release(usual_ms=MINUTE), an_observation(stable)).plan
    assert plan is not None and plan.deadline_ms == 3 * 7 * MINUTE


def recreated() -> DeploymentSeen:
    return a_deployment(strategy={"type": "Recreate"})


def test_planned_downtime_needs_a_persons_consent() -> None:
    release = planned(a_release(), an_observation(recreated()))
    assert (
        release.phase is Phase.AWAITING_APPROVAL and release.plan is not None and release.plan.down
    )
    (gate,) = release.plan.start
    assert isinstance(gate, ApprovalGate)
    assert (gate.name, gate.quorum, gate.requester_may_approve) == ("downtime", 1, True)


def test_an_undo_with_downtime_needs_no_consent() -> None:
    release = planned(a_release(Undo(template=a_template("0.9.0"))), an_observation(recreated()))
    assert release.phase is Phase.PROGRESSING


def test_the_apps_container_is_the_one_that_the_template_names() -> None:
    assert app_container(a_release(), a_template()) == "hello"
    assert app_container(a_release(target=a_target(container="web")), a_template()) == "web"


def test_an_init_container_of_the_same_image_is_named_as_staying() -> None:
    migrate = {"name": "migrate", "image": f"docker.io/{REPOSITORY}:1.0.0"}
    other = {"name": "wait", "image": "busybox:1.36"}
    stable = a_deployment(template=a_template(initContainers=[migrate, other]))
    plan = planned(a_release(), an_observation(stable)).plan
    assert plan is not None
    assert plan.notes[0] == "init container migrate stays on 1.0.0 of the same image"


def test_the_plan_says_what_a_roll_costs_an_app_without_a_prestop_hook() -> None:
    plan = planned(a_release(), an_observation()).plan
    assert plan is not None
    assert "each pod that is replaced may lose requests for up to a second" in plan.notes[-1]
    drains = an_observation(a_deployment(template=with_sleep(a_template())))
    silent = planned(a_release(), drains).plan
    assert silent is not None and silent.notes == ()


def test_a_moved_tag_is_warned_about() -> None:
    template = a_template("2.0.0")
    pods = pods_for("hello-1", template, 2)
    pods = tuple(
        replace(
            pod, containers=(replace(pod.containers[0], image_id=f"{REPOSITORY}@sha256:{index}"),)
        )
        for index, pod in enumerate(pods)
    )
    stable = a_deployment(
        template=template, replicas=2, replica_sets=(a_replica_set("hello-1", template, pods=pods),)
    )
    plan = planned(a_release(Restart()), an_observation(stable)).plan
    assert plan is not None  # a restart says nothing about tags
    plan = planned(
        a_release(Deploy("2.0.0"), target=a_target(version_label=None)),
        an_observation(with_other(stable)),
    ).plan
    assert plan is not None and "the tag 2.0.0 was moved" in " ".join(plan.notes)


def with_other(stable: DeploymentSeen) -> DeploymentSeen:
    """The template names another tag, while its pods still run two digests of the wanted one."""
    return replace(
        stable,
        template=a_template("1.9.9"),
        replica_sets=(replace(stable.replica_sets[0], template=a_template("1.9.9")),),
    )


def test_events_are_in_plain_words() -> None:
    decision = decide(a_release(), an_observation(), T0)
    assert text_of(decision, EventKind.PLANNED) == "1.0.0 → 2.0.0, rolling"
    assert text_of(decision, EventKind.STEP_BEGAN) == "roll hello to 2.0.0"


def test_an_undo_that_changes_no_version_says_so() -> None:
    wanted = a_template("1.0.0", terminationGracePeriodSeconds=60)
    release = decide(a_release(Undo(template=wanted)), an_observation(), T0).release
    assert release.plan is not None
    assert release.plan.notes[0] == "no version changes: hello stays on 1.0.0"


def test_an_apply_keeps_the_version_that_runs_when_its_turn_comes() -> None:
    shown = a_template("1.0.0", labels={"app": "hello", "version": "1.0.0"}, dnsPolicy="Default")
    release = a_release(Reapply(shown), target=a_target(version_label="version"))
    labels = {"app": "hello", "version": "2.0.0"}
    deployed = a_deployment(template=a_template("2.0.0", labels=labels))
    plan = decide(release, an_observation(stable=deployed), T0).release.plan
    assert plan is not None
    (goal,) = plan.steps[0].goals
    assert isinstance(goal, DeploymentGoal)
    assert goal.template == a_template("2.0.0", labels=labels, dnsPolicy="Default")
