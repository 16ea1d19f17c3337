"""The waves of an app in the catalog, and each mistake in one line with the nearest valid form."""

from __future__ import annotations

import pytest

from config.catalog import CatalogMistakes, parse_catalog

CLUSTERS = (
    "clusters:\n"
    "  eu: {in_cluster: true, labels: {region: eu}}\n"
    "  us-east: {kubeconfig: ./k, labels: {region: us}}\n"
    "  us-west: {kubeconfig: ./k, labels: {region: us}}\n"
    "  lab: {kubeconfig: ./k}\n"
)
ALL = "clusters: [eu, us-east, us-west]"


def waves(keys: str) -> list[tuple[str, ...]]:
    catalog = parse_catalog(f"{CLUSTERS}apps: {{shop: {{{keys}}}}}\n")
    return [one.clusters for one in catalog.apps["shop"].waves]


def mistakes(keys: str) -> list[str]:
    with pytest.raises(CatalogMistakes) as caught:
        waves(keys)
    return [one.message for one in caught.value.mistakes]


def test_without_waves_one_cluster_follows_the_other_as_written() -> None:
    assert waves("clusters: [us-west, eu]") == [("us-west",), ("eu",)]
    assert waves("cluster: eu") == [("eu",)]


def test_a_wave_names_clusters_or_their_labels() -> None:
    found = waves(f"{ALL}, waves: [{{clusters: [eu], soak: 30m}}, {{clusters: {{region: us}}}}]")
    assert found == [("eu",), ("us-east", "us-west")]


def test_a_label_means_the_clusters_of_the_app_alone() -> None:
    keys = "clusters: [eu, us-west], waves: [{clusters: [eu]}, {clusters: {region: us}}]"
    assert waves(keys) == [("eu",), ("us-west",)]


def test_the_keys_of_a_wave_bind_it() -> None:
    text = (
        f"{CLUSTERS}defaults: {{waves: [{{clusters: [eu], soak: 30m, then: approval,"
        " unreachable: skip, catch_up_within: 2h}, {clusters: {region: us}}]}\n"
        f"apps: {{shop: {{{ALL}}}, single: {{cluster: lab}}}}\n"
    )
    apps = parse_catalog(text).apps
    entry = apps["shop"].waves[0].entry
    assert (entry.soak_ms, entry.then, entry.unreachable) == (1_800_000, "approval", "skip")
    assert entry.catch_up_within_ms == 7_200_000
    assert [one.clusters for one in apps["single"].waves] == [("lab",)]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            f"{ALL}, waves: [{{clusters: [eu]}}, {{clusters: [us-est, us-west]}}]",
            "the app is not in `us-est`; did you mean `us-east`?",
        ),
        (
            f"{ALL}, waves: [{{clusters: [eu, us-east]}}, {{clusters: [us-west, eu]}}]",
            "`eu` is in wave 1 already",
        ),
        (
            f"{ALL}, waves: [{{clusters: [eu]}}, {{clusters: [us-east]}}]",
            "`us-west` is in no wave: add {clusters: [us-west]}",
        ),
        (
            f"{ALL}, waves: [{{clusters: {ALL[10:]}}}, {{clusters: {{region: ue}}}}]",
            "no cluster has the label `region: ue`; did you mean `region: eu`?",
        ),
        (
            "cluster: eu, waves: [{clusters: [eu]}]",
            "waves need an app with more than one cluster: name them in `clusters`",
        ),
        (
            f"{ALL}, waves: [{{clusters: {{region: eu}}, then: wait}}, {{clusters: {ALL[10:]}}}]",
            "`wait` is not allowed: use go or approval",
        ),
    ],
)
def test_waves_that_cannot_be_meant_are_one_line(keys: str, message: str) -> None:
    assert message in mistakes(keys)
