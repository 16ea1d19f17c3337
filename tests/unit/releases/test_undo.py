"""Which template an undo goes to."""

from __future__ import annotations

from typing import Any

import pytest

from bot.releases.planning.refusals import PlanRefused
from bot.releases.planning.undo import ChosenUndo, KnownTemplate, choose_undo
from tests.builders import a_deployment, a_replica_set, a_template

V1, V2, V3 = a_template("1.0.0"), a_template("2.0.0"), a_template("3.0.0")
HELLO = a_deployment(
    template=V3,
    replica_sets=(
        a_replica_set("hello-3", V3, revision=3),
        a_replica_set("hello-2", V2, revision=2),
        a_replica_set("hello-1", V1, revision=1),
    ),
)
HEALTHY_1 = KnownTemplate(V1, "healthy", "1.0.0", "hello-1")
BAD_2 = KnownTemplate(V2, "bad", "2.0.0", "hello-2", "image not found")


def chosen(*known: KnownTemplate, to: int | None = None, deployment: object = HELLO) -> ChosenUndo:
    return choose_undo(deployment, known, to_revision=to, app="hello")  # type: ignore[arg-type]


def test_undo_prefers_the_last_healthy_template_and_names_kubectls_choice() -> None:
    assert chosen(HEALTHY_1) == ChosenUndo(
        V1,
        "kubectl would choose revision 2; 1.0.0 is the last version that a release found healthy",
    )


def test_where_both_agree_nothing_is_said() -> None:
    assert chosen(KnownTemplate(V2, "healthy", "2.0.0", "hello-2")) == ChosenUndo(V2, "")


def test_undo_falls_back_to_kubectls_choice_and_says_so() -> None:
    assert chosen() == ChosenUndo(
        V2, "no release found an earlier version healthy: undo uses revision 2, as kubectl would"
    )


def test_what_runs_now_is_not_an_undo() -> None:
    assert chosen(KnownTemplate(V3, "healthy", "3.0.0", "hello-3"), HEALTHY_1).template == V1


def test_undo_skips_a_template_marked_bad_later() -> None:
    assert chosen(KnownTemplate(V2, "healthy", "2.0.0", "hello-2"), BAD_2, HEALTHY_1).template == V1


def test_a_revision_asked_for_is_kubectls() -> None:
    assert chosen(HEALTHY_1, to=2) == ChosenUndo(V2, "")


def test_refuses_a_bad_revision_and_names_the_last_good_one() -> None:
    with pytest.raises(
        PlanRefused,
        match=r"Revision 2 \(2.0.0\) was bad in hello-2: image not found. The last known good .* 1",
    ):
        chosen(BAD_2, HEALTHY_1, to=2)


def test_undo_goes_past_kubectls_choice_when_it_was_bad() -> None:
    assert chosen(BAD_2) == ChosenUndo(
        V1, "revision 2 (2.0.0) was bad: image not found; undo uses revision 1"
    )


def test_refuses_an_unknown_revision_and_lists_the_others() -> None:
    with pytest.raises(PlanRefused, match=r"hello has no revision 9\. It has 3, 2, 1\."):
        chosen(to=9)


def test_refuses_undo_without_an_earlier_revision() -> None:
    with pytest.raises(PlanRefused, match="no earlier revision"):
        chosen(deployment=a_deployment())


def test_undo_never_chooses_an_orphaned_canary_replica_set() -> None:
    orphan = a_replica_set(
        "hello-canary-9",
        a_template("9.0.0"),
        revision=9,
        labels={"app": "hello", "track": "canary"},
    )
    adopted = a_deployment(template=V3, replica_sets=(orphan, *HELLO.replica_sets))
    assert chosen(deployment=adopted).template == V2
    with pytest.raises(PlanRefused, match="no revision 9"):
        chosen(deployment=adopted, to=9)


LEFT_2 = KnownTemplate(V2, "left", "2.0.0", "hello-2", "aborted by developer")


def test_undo_skips_a_template_that_was_left() -> None:
    assert (
        chosen(LEFT_2, KnownTemplate(V2, "healthy", "2.0.0", "hello-2"), HEALTHY_1).template == V1
    )


def test_undo_goes_past_kubectls_choice_when_it_was_left() -> None:
    assert chosen(LEFT_2) == ChosenUndo(
        V1, "revision 2 (2.0.0) was left: aborted by developer; undo uses revision 1"
    )


def test_refuses_when_every_earlier_revision_is_marked() -> None:
    left_1 = KnownTemplate(V1, "left", "revision 1", "hello-1", "undone")
    with pytest.raises(PlanRefused, match=r"was left: aborted by developer\. No other revision"):
        chosen(LEFT_2, left_1)


def test_a_revision_without_a_version_is_named_once() -> None:
    left = KnownTemplate(V2, "left", "revision 2", "hello-2", "undone by developer")
    assert chosen(left, to=2).note == "revision 2 was left in hello-2: undone by developer"


def test_a_left_revision_can_be_named_and_says_why_it_was_left() -> None:
    assert chosen(LEFT_2, to=2) == ChosenUndo(
        V2, "revision 2 (2.0.0) was left in hello-2: aborted by developer"
    )


def pair(web: str, proxy: str) -> dict[str, Any]:
    containers = [
        {"name": "web", "image": f"shop/web:{web}"},
        {"name": "proxy", "image": f"shop/proxy:{proxy}"},
    ]
    return {"metadata": {"labels": {"app": "pair"}}, "spec": {"containers": containers}}


PAIR = a_deployment(
    "pair",
    pair("2.0.0", "5.0.0"),
    replica_sets=(
        a_replica_set("pair-3", pair("2.0.0", "5.0.0"), revision=3),
        a_replica_set("pair-2", pair("2.0.0", "1.0.0"), revision=2),
        a_replica_set("pair-1", pair("1.0.0", "1.0.0"), revision=1),
    ),
)


@pytest.mark.parametrize("remembered", [True, False])
def test_undo_of_one_container_leaves_the_other_apps_container(remembered: bool) -> None:
    known = [
        KnownTemplate(pair(web, proxy), "healthy", web, "pair-1")
        for web, proxy in (("2.0.0", "5.0.0"), ("2.0.0", "1.0.0"), ("1.0.0", "1.0.0"))
    ]
    found = choose_undo(
        PAIR,
        known if remembered else (),
        to_revision=None,
        app="pair-web",
        others=frozenset({"proxy"}),
    )
    assert found.template == pair("1.0.0", "5.0.0")
    assert "container proxy stays as it is" in found.note


def test_a_named_revision_leaves_the_other_apps_container_too() -> None:
    found = choose_undo(PAIR, (), to_revision=1, app="pair-web", others=frozenset({"proxy"}))
    assert found.template == pair("1.0.0", "5.0.0")


def test_a_composed_template_that_was_left_is_not_chosen_again() -> None:
    fled = pair("2.0.0", "5.0.0")
    now = a_deployment(
        "pair",
        pair("1.0.0", "5.0.0"),
        replica_sets=(
            a_replica_set("pair-4", pair("1.0.0", "5.0.0"), revision=4),
            *PAIR.replica_sets,
        ),
    )
    known = [
        KnownTemplate(fled, "left", "2.0.0", "pair-4", "undone"),
        KnownTemplate(pair("2.0.0", "1.0.0"), "healthy", "2.0.0", "pair-1"),
        KnownTemplate(pair("1.0.0", "1.0.0"), "healthy", "1.0.0", "pair-1"),
    ]
    with pytest.raises(PlanRefused, match="was left"):
        choose_undo(now, known, to_revision=None, app="pair-web", others=frozenset({"proxy"}))


def test_a_mark_is_about_the_container_of_the_app_that_left_it() -> None:
    """web was released beside proxy 6, and proxy 6 was left for a reason of its own."""
    known = [KnownTemplate(pair("1.0.0", "1.0.0"), "left", "1.0.0", "pair-proxy-3", "undone")]
    found = choose_undo(PAIR, known, to_revision=None, app="pair-web", others=frozenset({"proxy"}))
    assert found.template == pair("1.0.0", "5.0.0")


def test_a_mark_of_the_apps_own_counts_whatever_ran_beside_it() -> None:
    known = [KnownTemplate(pair("1.0.0", "9.0.0"), "left", "1.0.0", "pair-web-3", "undone")]
    with pytest.raises(PlanRefused, match="was left"):
        choose_undo(PAIR, known, to_revision=None, app="pair-web", others=frozenset({"proxy"}))
