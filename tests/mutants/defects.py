"""The defects, each as the text it replaces and the test that must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """``there`` occurs exactly once in ``file`` and becomes ``instead``."""

    name: str
    file: str
    there: str
    instead: str
    test: str


DEFECTS: tuple[Defect, ...] = (
    Defect(
        "lease token ignored",
        "bot/store/scripts/begin.lua",
        "if redis.call('HGET', key('tokens'), id) ~= ARGV[2] then return 0 end",
        "",
        "tests/unit/store/test_leases.py::test_only_the_holder_of_the_token_may_begin",
    ),
    Defect(
        "version compare removed",
        "bot/store/scripts/save.lua",
        "if tonumber(found[1]) ~= expected then return -2 end",
        "",
        "tests/contracts/store/test_releases.py::test_a_save_of_an_old_version_is_refused_and_changes_nothing",
    ),
    Defect(
        "approval not bound to the plan hash",
        "bot/releases/engine/respond.py",
        "    if release.plan is None or plan_hash != release.plan.hash:\n",
        "    if not plan_hash:\n",
        "tests/transitions/test_requests.py::test_a_button_of_another_plan_is_void_and_says_so",
    ),
    Defect(
        "outbox left out of the script",
        "bot/store/scripts/save.lua",
        "if ARGV[12 + 2 * index] ~= '' then append_outbox(id, ARGV[12 + 2 * index]) end",
        "",
        "tests/contracts/store/test_releases.py::test_the_outbox_keeps_the_order_and_counts_on",
    ),
    Defect(
        "dedup key dropped",
        "bot/store/scripts/create.lua",
        "if dedup ~= '' then redis.call('SET', key('dedup:' .. dedup), id, 'PX', dedup_ttl) end",
        "",
        "tests/contracts/store/test_releases.py::test_the_same_request_returns_the_first_release",
    ),
    Defect(
        "a re-sent write done twice",
        "bot/store/scripts/save.lua",
        "if first then return tonumber(first) end",
        "",
        "tests/contracts/store/test_releases.py::test_a_repeated_save_happens_once_and_returns_the_same",
    ),
    Defect(
        "wake during a job forgotten",
        "bot/store/scripts/finish.lua",
        "if redis.call('ZSCORE', key('due'), id) then nudge() end",
        "redis.call('ZREM', key('due'), id)",
        "tests/unit/store/test_leases.py::test_a_wake_during_a_job_is_honoured_after_it",
    ),
    Defect(
        "a release queued by its first tick",
        "bot/store/scripts/create.lua",
        "join_queue(id, app_lock(app))\n",
        "",
        "tests/contracts/store/test_locks.py::test_the_order_of_acceptance_decides_not_the_order_of_asking",
    ),
    Defect(
        "lock not freed by the final state",
        "bot/store/scripts/save.lua",
        "  free_locks(id)\n",
        "",
        "tests/contracts/store/test_locks.py::test_the_end_of_a_release_hands_its_locks_to_the_next_and_wakes_it",
    ),
    Defect(
        "drift ignored",
        "bot/releases/engine/drift.py",
        "    if drift:\n",
        "    if drift and now < 0:\n",
        "tests/transitions/test_drift.py::test_drift_is_recorded_once",
    ),
    Defect(
        "another release's claim overwritten",
        "bot/releases/engine/reconcile.py",
        "    if is_claimed_by_another(release, item):\n        return decision\n",
        "",
        "tests/transitions/test_claims.py::test_a_claim_that_comes_during_the_rollback_is_left_alone",
    ),
    Defect(
        "a value written again without its condition",
        "bot/releases/engine/rewrite.py",
        "return conditions_hold(release, seen, _of_pods(goal.when))",
        "return goal is not None",
        "tests/transitions/test_rewrites.py::test_a_selector_waits_until_the_candidate_has_its_pods_again",
    ),
    Defect(
        "a preview Service deleted by its name",
        "bot/releases/engine/reconcile.py",
        "    if service is not None and not _is_service_to_remove(release, service, made):\n",
        "    if service is not None and goal is None:\n",
        "tests/transitions/bluegreen/test_moments.py::test_a_foreign_preview_service_is_neither_rewritten_nor_deleted",
    ),
    Defect(
        "a share that grows when stable shrinks",
        "bot/releases/strategies/canary/steps.py",
        "max(canary.percents[index], 0 if canary.scaler else split.percent)",
        "canary.percents[index] if canary.scaler else None",
        "tests/transitions/test_drift.py::test_a_share_holds_when_stable_was_scaled_down_and_that_is_adopted",
    ),
    Defect(
        "ownership by labels",
        "bot/cluster/reading.py",
        "    return [item for item in items if owner_of(item) == uid]\n",
        "    return [item for item in items if uid]\n",
        "tests/contracts/cluster_port/test_observe.py::test_pods_belong_by_owner_and_not_by_labels",
    ),
    Defect(
        "signature unchecked",
        "bot/slack/admission.py",
        "return body if self._is_valid(body, *signed) else UNSIGNED",
        "return body if self._verifier else UNSIGNED",
        "tests/unit/slack/test_listeners.py::test_a_wrong_signature_and_a_stale_request_change_nothing",
    ),
    Defect(
        "as found saved in the tick that writes",
        "bot/releases/engine/decide.py",
        "        return begin(decision, seen, now)\n",
        "        return _continue_release(begin(decision, seen, now), seen, now)\n",
        "tests/transitions/test_rolling.py::test_the_first_tick_saves_the_original_state_and_writes_nothing",
    ),
    Defect(
        "candidate created live",
        "bot/releases/planning/candidate.py",
        '            "replicas": 0,\n            "selector": selector,\n',
        '            "replicas": 3,\n            "selector": selector,\n',
        "tests/transitions/bluegreen/test_moments.py::test_green_is_created_inert_and_made_live_by_a_tested_patch",
    ),
    Defect(
        "a write sent on a decision that no longer stands",
        "bot/operations/lifecycle/advance_release.py",
        "        if not context.store.is_current(release):",
        "        if not context.store.is_current(release) and not release.id:",
        "tests/unit/operations/test_advance_release.py::test_an_abort_between_save_and_write_prevents_the_write",
    ),
    Defect(
        "a write that comes late not waited for",
        "bot/releases/engine/late_writes.py",
        "        if now < settled_at and",
        "        if now < 0 and",
        "tests/unit/operations/test_advance_release.py::test_rollback_waits_for_a_late_write_and_reverts_it",
    ),
    Defect(
        "a late claim let through after the end",
        "bot/releases/engine/reconcile.py",
        'version = item.resource_version if claims else ""',
        'version = ""',
        "tests/unit/operations/test_advance_release.py::test_rollback_waits_for_a_late_write_and_reverts_it",
    ),
    Defect(
        "a write without its line in the audit stream",
        "bot/operations/lifecycle/announce_writes.py",
        "release=release, events=(*decision.events, *events))",
        "release=release)",
        "tests/unit/operations/test_advance_release.py::test_a_write_is_audited_before_it_is_sent",
    ),
    Defect(
        "a claim answered once though its reply was lost",
        "bot/store/scripts/claim.lua",
        "if first then return cjson.decode(first) end",
        "",
        "tests/unit/store/test_leases.py::test_a_claim_whose_reply_was_lost_is_answered_again",
    ),
    Defect(
        "a hold ended twice by two clicks",
        "bot/releases/engine/respond.py",
        "    if release.progress.gate.skipped:",
        "    if release.progress.gate.skipped and not by:",
        "tests/transitions/test_requests.py::test_a_hold_is_ended_early_only_once",
    ),
    Defect(
        "an old card's click ends the next hold",
        "bot/releases/engine/respond.py",
        "    if request.at and request.at not in (hold_name(release), capacity_name(release)):\n"
        "        return _refuse(decision, _from_before(release))\n",
        "",
        "tests/unit/slack/test_stale_clicks.py::test_continue_now_never_approves_a_later_gate",
    ),
    Defect(
        "a job's death not counted",
        "bot/store/scripts/expedite.lua",
        "      comes_back(id, 1)\n",
        "      wake(id, now)\n",
        "tests/unit/store/test_leases.py::test_a_job_whose_process_dies_comes_back_at_once_and_if_it_dies_again_later_each_time",
    ),
    Defect(
        "a worker kept waiting for the death of its job",
        "jobs/supervisor.py",
        "child.quick_deaths = 0 if worked or lived",
        "child.quick_deaths = 0 if lived",
        "tests/faults/test_worker.py::test_waking_jobs_that_always_kill_their_process_delays_no_others",
    ),
    Defect(
        "a Service handed to fewer pods than serve",
        "bot/releases/assess/handover.py",
        "        if self.ready < self.needed:",
        "        if not self.ready:",
        "tests/unit/releases/test_handover.py::test_as_many_ready_pods_as_serve_are_needed",
    ),
    Defect(
        "an autoscaler's minimum left raised",
        "bot/releases/engine/minimum.py",
        "wanted = scaler.min_replicas if minimum.left else minimum.found",
        "wanted = scaler.min_replicas",
        "tests/transitions/bluegreen/test_autoscaler_minimum.py"
        "::test_the_minimum_is_raised_before_blue_and_restored_at_the_end",
    ),
    Defect(
        "an autoscaler's minimum that a person changed overwritten",
        "bot/releases/engine/minimum.py",
        'left = _with(decision, replace(minimum, left="theirs"))',
        "left = _with(decision, replace(minimum, to=scaler.min_replicas))",
        "tests/transitions/bluegreen/test_autoscaler_minimum.py"
        "::test_a_minimum_that_something_else_changed_is_left_and_named",
    ),
    Defect(
        "a clock that jumps taken for time that passed",
        "bot/operations/lifecycle/advance_release.py",
        "    return follow_clock(release, context.store.now(), server_time)",
        "    return follow_clock(release, context.store.now(), server_time and None)",
        "tests/unit/operations/test_clock_jumps.py::test_a_deadline_counts_on_over_a_jump",
    ),
    Defect(
        "an incomplete scale rolled back at its deadline",
        "bot/releases/facts/release.py",
        "return isinstance(self.change, Scale) or (",
        "return False or (",
        "tests/transitions/test_point_of_no_return.py::test_an_incomplete_scale_keeps_its_ready_pods_and_asks",
    ),
    Defect(
        "a deadline past the point of no return rolls back",
        "bot/releases/facts/release.py",
        "(step is not None and step.committed)",
        "(step is None)",
        "tests/transitions/test_point_of_no_return.py::test_a_finalizer_on_green_takes_nobody_back",
    ),
    Defect(
        "a rollback that waits for pods that were unready as found",
        "bot/releases/assess/conditions.py",
        "    return serves_as_found(facts.release, stable) and not",
        "    return stable.replicas < 0 and not",
        "tests/transitions/test_incomplete_as_found.py::test_the_way_back_ends_with_as_many_pods_as_were_available",
    ),
    Defect(
        "a standing canary adopted without a question",
        "bot/releases/planning/candidate.py",
        "    return {Confirmation.ADOPTION: what}\n",
        "    return {} if what else {Confirmation.ADOPTION: what}\n",
        "tests/transitions/test_canary_plans.py::test_a_standing_canary_is_adopted_only_once_a_person_confirms",
    ),
    Defect(
        "a Deployment's own deadline ignored",
        "bot/releases/planning/capacity.py",
        "is_set = seconds != DEFAULT_PROGRESS_S or",
        "is_set = seconds > DEFAULT_PROGRESS_S or",
        "tests/transitions/test_rolling.py::test_the_deployments_own_times_belong_to_the_deadline",
    ),
    Defect(
        "a share above the approved one taken without asking",
        "bot/releases/engine/shares.py",
        "split.percent <= approved + TOLERANCE",
        "split.percent <= 100",
        "tests/transitions/test_drift.py::test_a_share_that_must_exceed_the_approved_one_is_asked_about_once",
    ),
    Defect(
        "an undone template chosen by the next undo",
        "bot/operations/lifecycle/remember_templates.py",
        "    if release.phase is not Phase.SUCCEEDED or not isinstance(release.change, Undo):\n",
        "    if release.id:\n",
        "tests/unit/operations/test_remember_templates.py::test_a_second_undo_does_not_return_to_what_was_undone",
    ),
    Defect(
        "old pods counted as proof of the new template",
        "bot/releases/assess/rollout.py",
        "    return current is not None and current.available > 0\n",
        "    return current is None or deployment.available > 0\n",
        "tests/unit/operations/test_remember_templates.py::test_available_old_pods_are_no_success_of_the_new_template",
    ),
    Defect(
        "an apply that chooses the version",
        "bot/releases/planning/draft.py",
        '    result["spec"]["containers"][index]["image"] = running_image(runs, release)\n',
        "",
        "tests/transitions/test_rolling.py::test_an_apply_keeps_the_version_that_runs_when_its_turn_comes",
    ),
    Defect(
        "an apply not bound to the version that was read",
        "bot/cluster/server_side_apply.py",
        '        body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]\n',
        "",
        "tests/faults/cluster/test_apply.py::test_a_change_right_before_the_write_stops_it",
    ),
    Defect(
        "objects of an apply written without their turn",
        "bot/releases/engine/manifests.py",
        "    return _has_objects_left(release) and release.phase is Phase.PROGRESSING\n",
        "    return _has_objects_left(release)\n",
        "tests/faults/cluster/test_apply.py::test_nothing_is_written_before_the_approval",
    ),
    Defect(
        "an error that repeats retried for ever",
        "bot/operations/lifecycle/meet_error.py",
        "    if met.count < TRIES or now",
        "    if met.count or now",
        "tests/unit/operations/test_advance_release.py::test_an_error_at_every_tick_ends_the_release_and_frees_the_app",
    ),
)
