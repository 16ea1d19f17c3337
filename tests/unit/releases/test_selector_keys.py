"""Which key of a Service's selector tells blue from green."""

from __future__ import annotations

from typing import Any

import pytest

from bot.releases.assess.selectors import is_label_value, matches
from bot.releases.facts.observation import SelectingSeen, Survey
from bot.releases.planning.refusals import PlanRefused
from bot.releases.strategies.bluegreen.selector_keys import (
    OtherValue,
    choose_key,
    dependents,
)
from tests.builders import a_template

LABELS = {"app": "hello", "tier": "web", "version": "1.0.0"}


def choose(
    *selectors: dict[str, str],
    survey: Survey | None = None,
    version_label: str | None = None,
    **spec: Any,
) -> OtherValue:
    template = a_template(
        "2.0.0", labels={**LABELS, "version": "2.0.0"} if version_label else LABELS, **spec
    )
    return choose_key(selectors, LABELS, template, survey, version_label=version_label)


def a_survey(kind: str, name: str, **match_labels: str) -> Survey:
    return Survey(selecting=(SelectingSeen(kind, name, {"matchLabels": match_labels}),))


def test_a_version_label_that_the_service_selects_by_comes_first() -> None:
    assert choose({"app": "hello", "version": "1.0.0"}, version_label="version") == OtherValue(
        "version", "2.0.0"
    )


def test_ignores_a_version_label_that_no_service_selects_by() -> None:
    assert choose({"app": "hello"}, version_label="version") == OtherValue("app", "hello-green")


def test_without_a_version_label_the_first_key_gets_the_suffix() -> None:
    assert choose({"app": "hello", "tier": "web"}) == OtherValue("app", "hello-green")


def test_several_services_use_a_key_they_share() -> None:
    assert choose(
        {"app": "hello", "version": "1.0.0"}, {"app": "hello"}, version_label="version"
    ) == OtherValue("app", "hello-green")


@pytest.mark.parametrize("kind", ["NetworkPolicy", "PodDisruptionBudget", "Service", "Deployment"])
def test_skips_a_key_that_something_else_selects_by(kind: str) -> None:
    assert choose(
        {"app": "hello", "tier": "web"}, survey=a_survey(kind, "other", app="hello")
    ) == OtherValue("tier", "web-green")


def test_what_would_begin_to_match_green_counts_as_well() -> None:
    survey = a_survey("Service", "hello-green", app="hello-green")
    assert dependents(OtherValue("app", "hello-green"), LABELS, a_template(), survey) == (
        "Service hello-green",
    )
    assert choose({"app": "hello", "tier": "web"}, survey=survey).key == "tier"


def test_selectors_of_other_apps_or_of_every_pod_do_not_interfere() -> None:
    survey = Survey(
        selecting=(
            SelectingSeen("NetworkPolicy", "deny-all", {}),
            SelectingSeen("Service", "other", {"matchLabels": {"app": "other"}}),
            SelectingSeen(
                "PodDisruptionBudget",
                "any",
                {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
            ),
        )
    )
    assert choose({"app": "hello"}, survey=survey).key == "app"


def test_an_affinity_or_spread_rule_of_its_own_pods_counts() -> None:
    rule = {
        "labelSelector": {"matchLabels": {"app": "hello"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    anti = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
    preferred = {
        "podAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": rule}
            ]
        }
    }
    for spec in (
        {"affinity": anti},
        {"affinity": preferred},
        {"topologySpreadConstraints": [rule]},
    ):
        assert choose({"app": "hello", "tier": "web"}, **spec).key == "tier"


def test_the_refusal_names_each_key_and_who_depends_on_it() -> None:
    survey = Survey(
        selecting=(
            SelectingSeen("PodDisruptionBudget", "hello", {"matchLabels": {"app": "hello"}}),
            SelectingSeen("NetworkPolicy", "web", {"matchLabels": {"tier": "web"}}),
        )
    )
    with pytest.raises(PlanRefused) as refused:
        choose({"app": "hello", "tier": "web"}, survey=survey)
    line = str(refused.value)
    assert "app (also selected by PodDisruptionBudget hello)" in line
    assert "tier (also selected by NetworkPolicy web)" in line
    assert "one more label" in line
    assert "\n" not in line


def test_services_that_share_no_key_are_refused() -> None:
    with pytest.raises(PlanRefused, match="share no selector key"):
        choose({"app": "hello"}, {"tier": "web"})


def test_a_service_never_selects_by_the_template_hash() -> None:
    with pytest.raises(PlanRefused, match="pod-template-hash"):
        choose({"app": "hello", "pod-template-hash": "abc"})


def test_skips_a_key_whose_value_would_grow_too_long() -> None:
    name = "a" * 60
    with pytest.raises(PlanRefused, match="is not a label value"):
        choose_key(
            [{"app": name}],
            {"app": name},
            a_template(labels={"app": name}),
            None,
            version_label=None,
        )


@pytest.mark.parametrize(
    ("selector", "is_match"),
    [
        ({}, True),
        ({"matchLabels": {"app": "hello"}}, True),
        ({"matchLabels": {"app": "hello", "tier": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "hello"]}]}, True),
        ({"matchExpressions": [{"key": "absent", "operator": "In", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["hello"]}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "NotIn", "values": ["a"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        (
            {
                "matchLabels": {"app": "hello"},
                "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}],
            },
            False,
        ),
    ],
)
def test_label_selectors_mean_what_kubernetes_means(selector: Any, is_match: bool) -> None:
    assert matches(selector, LABELS) is is_match


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        ("", True),
        ("1.0.0", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("-a", False),
        ("a_", False),
        ("a+b", False),
    ],
)
def test_accepts_the_label_values_that_kubernetes_accepts(value: str, is_good: bool) -> None:
    assert is_label_value(value) is is_good
