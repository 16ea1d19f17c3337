"""Templates seen healthy or bad, durations, audit, freezes, passing state and budgets."""

from __future__ import annotations

from dataclasses import replace

from bot.policy.automation import AutomationLock
from bot.policy.freezes import Freeze
from bot.ports import AuditLine, Budget, ReleaseStore
from bot.releases.facts.events import Event, EventKind
from tests.builders import ADMIN, T0, a_release, a_template
from tests.conftest import eventually
from tests.contracts.store.conftest import Adapters

BY_ITSELF = (
    EventKind.QUEUED,
    EventKind.REMINDED,
    EventKind.PROBED,
    EventKind.PROBE_FAILED,
    EventKind.UNREACHABLE,
    EventKind.REACHABLE,
    EventKind.ENVIRONMENT,
    EventKind.EVIDENCE,
)


def test_an_unjudged_template_has_no_verdict(store: ReleaseStore) -> None:
    assert store.verdict_on("app", a_template()) == ("", "", "")


def test_a_verdict_is_for_one_template_in_any_key_order(
    store: ReleaseStore,
) -> None:
    template = a_template("1.0.0")
    store.remember_healthy("app", template, version="1.0.0", release_id="hello-1")
    turned = dict(reversed(template.items()))
    assert store.verdict_on("app", turned) == ("healthy", "hello-1", "")
    assert store.verdict_on("app", a_template("2.0.0"))[0] == ""
    assert store.verdict_on("other app", template)[0] == ""


def test_the_last_verdict_counts(store: ReleaseStore) -> None:
    template = a_template()
    store.remember_healthy("app", template, version="1.0.0", release_id="hello-1")
    store.remember_bad("app", template, version="1.0.0", why="crashed", release_id="hello-2")
    assert store.verdict_on("app", template) == ("bad", "hello-2", "crashed")
    assert store.last_healthy("app") == ()
    store.remember_healthy("app", template, version="1.0.0", release_id="hello-3")
    assert store.verdict_on("app", template) == ("healthy", "hello-3", "")


def test_a_left_template_is_no_longer_known_good(store: ReleaseStore) -> None:
    template = a_template()
    store.remember_healthy("app", template, version="1.0.0", release_id="hello-1")
    store.remember_left("app", template, version="1.0.0", why="undone", release_id="hello-2")
    assert store.verdict_on("app", template) == ("left", "hello-2", "undone")
    assert store.last_healthy("app") == ()


def test_a_bad_mark_is_lifted_and_no_other_verdict(store: ReleaseStore) -> None:
    bad, good = a_template("2.0.0"), a_template("1.0.0")
    store.remember_bad("app", bad, version="2.0.0", why="crashed", release_id="hello-2")
    store.remember_healthy("app", good, version="1.0.0", release_id="hello-1")
    for _ in range(2):
        store.lift_bad_mark("app", bad)
        store.lift_bad_mark("app", good)
    assert store.verdict_on("app", bad) == ("", "", "")
    assert store.verdict_on("app", good) == ("healthy", "hello-1", "")
    assert [version for _, version, _ in store.last_healthy("app")] == ["1.0.0"]


def test_the_last_ten_healthy_templates_are_listed_newest_first_and_once(
    store: ReleaseStore,
) -> None:
    for number in range(12):
        store.remember_healthy(
            "app", a_template(f"{number}"), version=f"{number}", release_id=f"hello-{number}"
        )
    store.remember_healthy("app", a_template("5"), version="5", release_id="hello-12")
    known = store.last_healthy("app")
    assert [version for _, version, _ in known] == [
        "5",
        "11",
        "10",
        "9",
        "8",
        "7",
        "6",
        "4",
        "3",
        "2",
    ]
    assert known[0] == (a_template("5"), "5", "hello-12")


def test_durations_are_kept_newest_first_up_to_fifty(store: ReleaseStore) -> None:
    for number in range(52):
        store.remember_duration("app", number, operation=f"d{number}")
    store.remember_duration("app", 51, operation="d51")
    assert store.durations("app") == tuple(range(51, 1, -1))
    assert store.durations("other app") == ()


def test_the_audit_is_read_newest_first_and_by_app(store: ReleaseStore) -> None:
    for number, app in enumerate(("hello", "cart", "hello", "")):
        store.write_audit(
            AuditLine(T0, f"{app}-1", app, "noted", f"line {number}", "U1"), operation=f"w{number}"
        )
    store.write_audit(AuditLine(T0, "hello-1", "hello", "noted", "line 2", "U1"), operation="w2")
    assert [line.text for line in store.audit()] == ["line 3", "line 2", "line 1", "line 0"]
    assert [line.text for line in store.audit(app="hello")] == ["line 2", "line 0"]
    assert [line.text for line in store.audit(limit=1)] == ["line 3"]


def test_a_long_text_is_cut_and_who_did_what_and_when_is_kept(store: ReleaseStore) -> None:
    """Cut by its size as it is stored: a character may take six bytes."""
    for number, text in enumerate(("ä" * 5_000, '"' * 5_000, "\x01" * 5_000, "🚢/" * 5_000)):
        line = AuditLine(T0, "hello-1", "hello", "froze", f"{number} {text}", "U1")
        store.write_audit(line, operation=f"w{number}")
    for number, kept in enumerate(store.audit()[::-1]):
        assert replace(kept, text="") == AuditLine(T0, "hello-1", "hello", "froze", "", "U1")
        assert kept.text.startswith(f"{number} ") and kept.text.endswith("…")


def test_what_comes_by_itself_is_announced_and_not_audited(store: ReleaseStore) -> None:
    """The audit grows by commands, clicks, decisions and writes, never with time."""
    release = store.create(a_release(), dedup_key="", same_as="", operation="create").release
    for number, kind in enumerate(BY_ITSELF):
        release = store.save(release, (Event(T0, kind, "again"),), operation=f"s{number}")
    asked = Event(T0, EventKind.REMINDED, "someone asks for approval", ADMIN)
    store.save(release, (asked,), operation="asked")
    announced, _ = store.outbox(release.id)
    assert {one.event.kind for one in announced} == {EventKind.CREATED, *BY_ITSELF}
    assert [(line.kind, line.by) for line in store.audit()] == [
        ("reminded", ADMIN.user),
        ("created", release.requested_by.user),
    ]


def test_a_freeze_holds_until_it_is_lifted(store: ReleaseStore) -> None:
    freeze = Freeze("hello", "holidays", ADMIN, T0)
    assert store.change_freeze("hello", None, freeze)
    assert store.freezes() == (freeze,)
    lifted = [store.change_freeze("hello", freeze, None) for _ in range(2)]
    assert lifted == [True, False]
    assert store.freezes() == ()


def test_of_two_changes_of_a_freeze_at_once_the_second_is_refused(store: ReleaseStore) -> None:
    first, second = (Freeze("hello", why, ADMIN, T0 + at) for at, why in enumerate("ab"))
    assert store.change_freeze("hello", None, first)
    assert not store.change_freeze("hello", None, second)
    assert not store.change_freeze("hello", second, None)
    assert store.freezes() == (first,)


def test_a_freeze_is_audited_with_its_change_or_neither_is(store: ReleaseStore) -> None:
    freeze = Freeze("hello", "holidays", ADMIN, T0)
    line = AuditLine(T0, "", "hello", "froze", "hello: holidays", ADMIN.user)
    for _ in range(2):
        assert store.change_freeze("hello", None, freeze, operation="froze:1", audit=line)
    assert not store.change_freeze("hello", None, freeze, operation="froze:2", audit=line)
    assert store.audit() == store.audit(app="hello") == (line,)


def test_a_freeze_that_ended_is_none_to_change(store: ReleaseStore) -> None:
    over, next_ = (Freeze("all", why, ADMIN, T0, until=1) for why in ("over", "next"))
    assert store.change_freeze("all", None, over)
    assert not store.change_freeze("all", over, None)
    assert store.change_freeze("all", None, replace(next_, until=None))


def test_a_freeze_ends_by_itself(store: ReleaseStore) -> None:
    for scope, left_ms in (("all", -1), ("cluster:local", 60_000)):
        freeze = Freeze(scope, "", ADMIN, T0, until=store.now() + left_ms)
        assert store.change_freeze(scope, None, freeze)
    assert [freeze.scope for freeze in store.freezes()] == ["cluster:local"]


def a_lock(version: str, release_id: str = "hello-1") -> AutomationLock:
    return AutomationLock(version, release_id, "3 pods crashed", T0)


def test_locks_for_machines_are_of_one_app_in_one_cluster(store: ReleaseStore) -> None:
    locks = (a_lock("2.0.0"), a_lock("2.0.1", "hello-2"))
    assert store.change_automation_locks("hello", "local", (), locks)
    assert store.automation_locks("hello", "local") == locks
    assert store.automation_locks("hello", "eu") == store.automation_locks("auth", "local") == ()
    assert store.change_automation_locks("hello", "local", locks, locks[:1])
    assert store.change_automation_locks("hello", "local", locks[:1], ())
    assert store.automation_locks("hello", "local") == ()


def test_of_two_changes_of_locks_at_once_the_second_is_refused(store: ReleaseStore) -> None:
    first, second = (a_lock("2.0.0"),), (a_lock("2.0.1"),)
    assert store.change_automation_locks("hello", "local", (), first)
    assert not store.change_automation_locks("hello", "local", (), second)
    assert store.automation_locks("hello", "local") == first


def test_a_lock_is_cleared_once_with_its_line_in_the_audit(store: ReleaseStore) -> None:
    locks = (a_lock("2.0.0"),)
    assert store.change_automation_locks("hello", "local", (), locks)
    line = AuditLine(T0, "hello-1", "hello", "cleared", "hello: fixed", ADMIN.user)
    for _ in range(2):
        assert store.change_automation_locks(
            "hello", "local", locks, (), operation="cleared:1", audit=line
        )
    assert not store.change_automation_locks(
        "hello", "local", locks, (), operation="cleared:2", audit=line
    )
    assert store.audit() == store.audit(app="hello") == (line,)


def test_ephemeral_state_is_taken_once(store: ReleaseStore) -> None:
    store.put("draft", "ä value", ttl_ms=60_000)
    assert [store.peek("draft"), store.take("draft"), store.take("draft"), store.peek("draft")] == [
        "ä value",
        "ä value",
        None,
        None,
    ]


def test_ephemeral_state_expires(store: ReleaseStore) -> None:
    store.put("draft", "value", ttl_ms=30)
    assert eventually(lambda: store.peek("draft") is None)
    assert store.take("draft") is None


def test_new_state_never_replaces_other_state(store: ReleaseStore) -> None:
    assert store.put_new("claim", "first", ttl_ms=60_000)
    assert not store.put_new("claim", "second", ttl_ms=60_000)
    assert store.put_new("claim", "first", ttl_ms=60_000)  # sent again: the reply was lost
    assert store.take("claim") == "first"
    assert store.put_new("claim", "second", ttl_ms=60_000)


def test_the_newest_ordered_state_wins_in_any_order_of_arrival(
    store: ReleaseStore,
) -> None:
    stands = [
        store.put_newest("form", value, order=order, ttl_ms=60_000)
        for value, order in (("b", 2), ("c", 3), ("a", 1))
    ]
    assert (stands, store.peek("form")) == ([True, True, False], "c")
    assert store.put_newest("form", "c, sent again", order=3, ttl_ms=60_000)
    assert store.put_newest("another form", "a", order=1_795_000_000_000_001, ttl_ms=60_000)
    assert not store.put_newest("another form", "b", order=1_795_000_000_000_000, ttl_ms=60_000)


EDITS = Budget("edits", per_minute=60, burst=3)


def test_a_budget_grants_its_burst_and_then_a_waiting_time(store: ReleaseStore) -> None:
    answers = [store.book(EDITS, f"card {number}") for number in range(4)]
    assert answers[:3] == [0, 0, 0]
    assert 900 < answers[3] <= 1_000
    assert store.book(replace(EDITS, name="another"), "card 3") == 0


def test_a_budget_fills_up_again(store: ReleaseStore) -> None:
    posts = Budget("posts", per_minute=1_200)
    assert store.book(posts, "a") == 0
    # On a busy machine more than its 50 ms may pass between two bookings: then it is full again.
    assert eventually(lambda: store.book(posts, "a") > 0)
    assert eventually(lambda: store.book(posts, "a") == 0)


def test_the_first_to_ask_is_served_first(store: ReleaseStore) -> None:
    edits = Budget("edits", per_minute=1_200)
    assert store.book(edits, "taken") == 0
    assert store.book(edits, "first") > 0
    assert eventually(
        lambda: (
            store.now() > 0 and store.book(edits, "second") > 0 and store.book(edits, "first") == 0
        )
    )
    assert store.book(edits, "second") > 0
    assert eventually(lambda: store.book(edits, "third") > 0 and store.book(edits, "second") == 0)


def test_a_place_in_line_has_a_waiting_time(store: ReleaseStore) -> None:
    for number in range(3):
        store.book(EDITS, f"taken {number}")
    waits = [store.book(EDITS, name, rank=1) for name in ("a", "b", "c")]
    assert [round(wait, -3) for wait in waits] == [1_000, 2_000, 3_000]
    assert round(store.book(EDITS, "urgent"), -3) == 1_000
    assert round(store.book(EDITS, "a", rank=1), -3) == 2_000


def test_a_reserve_is_kept_for_urgent_calls(store: ReleaseStore) -> None:
    edits = replace(EDITS, reserve=2)
    assert store.book(edits, "moving", rank=2) == 0
    assert store.book(edits, "another", rank=2) > 0
    assert [store.book(edits, "waited for", rank=1), store.book(edits, "final")] == [0, 0]
    assert store.book(edits, "too much") > 0


def test_a_waiting_caller_that_becomes_urgent_stays_urgent(store: ReleaseStore) -> None:
    for number in range(3):
        store.book(EDITS, f"taken {number}")
    store.book(EDITS, "a", rank=2)
    store.book(EDITS, "b", rank=2)
    assert round(store.book(EDITS, "b", rank=0), -3) == 1_000
    assert round(store.book(EDITS, "b", rank=2), -3) == 1_000


def test_a_closed_budget_grants_nothing(store: ReleaseStore) -> None:
    store.close(EDITS, for_ms=7_000)
    assert 6_500 < store.book(EDITS, "card") <= 8_100
    assert store.book(replace(EDITS, name="another"), "card") == 0


def test_the_earliest_wake_wins(adapters: Adapters) -> None:
    for at in (2_000, 1_000, 3_000):
        adapters.queue.wake("sweep", at)
    assert adapters.due() == {"sweep": 1_000}
