"""The strict catalog: every mistake at once, each with its line and the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest

import config
from config.catalog import CatalogMistakes, CatalogSettings, load_catalog, parse_catalog
from config.check import main
from config.durations import format_duration, parse_duration

EXAMPLE = Path(config.__file__).parent / "example" / "catalog.yaml"
SMALL = "clusters: {local: {in_cluster: true}}\napps:\n  hello:\n"


def app(lines: str) -> CatalogSettings:
    return parse_catalog(SMALL + "".join(f"    {line}\n" for line in lines.split("\n")))


def mistakes(text: str) -> list[tuple[int, str]]:
    with pytest.raises(CatalogMistakes) as caught:
        parse_catalog(text)
    return [(mistake.line, mistake.message) for mistake in caught.value.mistakes]


def test_the_example_has_no_mistakes_and_shows_every_key() -> None:
    assert load_catalog(EXAMPLE).apps["hello"].services == ("hello",)
    text = EXAMPLE.read_text(encoding="utf-8")
    for key in (
        "secrets:",
        "services:",
        "in_cluster:",
        "version_label:",
        "retention:",
        "evidence:",
    ):
        assert key in text


def test_an_app_without_keys_is_its_own_deployment_and_service() -> None:
    hello = parse_catalog("clusters: {local: {in_cluster: true}}\napps: {hello: {}}").apps["hello"]
    assert (hello.deployment, hello.services, hello.cluster, hello.namespace) == (
        "hello",
        ("hello",),
        "local",
        "default",
    )


def test_defaults_fill_in_key_by_key_and_the_app_wins() -> None:
    text = (
        "clusters: {local: {in_cluster: true}}\ndefaults: {canary: {hold: 30s, steps: [10]},"
        " channel: C0ALL, approvals: {promote: 2}}\napps:\n  hello: {canary: {steps: [5, 50,"
        " 100]}}\n"
    )
    hello = parse_catalog(text).apps["hello"]
    assert hello.settings.canary.steps == (5, 50)
    assert hello.settings.canary.hold_ms == 30_000
    assert hello.settings.approvals.promote == 2
    assert hello.channel == "C0ALL"


def test_service_null_means_none_and_services_several() -> None:
    assert app("service: null").apps["hello"].services == ()
    assert app("services: [a, b]").apps["hello"].services == ("a", "b")


def test_without_an_access_section_everyone_may_only_read() -> None:
    roles = app("channel: C0RELEASES").access.roles
    assert roles.viewer.everyone
    assert not (
        roles.deployer.everyone or roles.deployer.users or roles.admin.users or roles.approver.users
    )


def test_anchors_and_merge_keys_work() -> None:
    text = (
        "clusters: {local: {in_cluster: true}}\napps:\n  a: &a {channel: C0ONE}\n  b: {<<: *a,"
        " strategy: canary}\n"
    )
    b = parse_catalog(text).apps["b"]
    assert (b.channel, b.settings.strategy) == ("C0ONE", "canary")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stratgy: canary", "unknown key `stratgy`; did you mean `strategy`?"),
        (
            "strategy: blue-green",
            (
                "`blue-green` is not allowed: use rolling, canary or bluegreen; did you mean"
                " `bluegreen`?"
            ),
        ),
        (
            "canary: {hold: 2}",
            "`2` is not a duration: write a number and a unit, such as 90s, 2m or 1h30m",
        ),
        ("canary: {hodl: 2m}", "unknown key `hodl`; did you mean `hold`?"),
        ("canary: {steps: [50, 20]}", "steps must rise: each share is larger than the one before"),
        (
            "canary: {steps: []}",
            (
                "at least one share below 100 is needed; to release without one, use strategy:"
                " rolling"
            ),
        ),
        ("canary: 3", "expected a mapping, not `3`"),
        (
            "bluegreen: {rollback_window: 5s}",
            "rollback_window must be at least 30s: old connections need that long",
        ),
        ("scale: {min: 5, max: 2}", "max (2) is smaller than min (5)"),
        ('scale: {min: "1"}', "expected a whole number, not `1`"),
        ("approvals: {promote: -1}", "`-1` is too small: use 0 or more"),
        ("approvals: {requester_may_approve: yes}", "expected true or false, not `yes`"),
        (
            "channel: releases",
            "`releases` is not a channel ID (C…): copy it from the channel's details in Slack",
        ),
        ("cluster: lcal", "no cluster `lcal`; did you mean `local`?"),
        (
            "images: [hello:1.0]",
            (
                "`hello:1.0` is not an image repository without tag or digest, such as"
                " registry.example.com/team/app"
            ),
        ),
        (
            "deployment: Hello",
            "`Hello` is not a Kubernetes name (lower-case letters, digits, - and .)",
        ),
        ("channel: C0A\n    channel: C0B", "the key `channel` is given twice"),
    ],
)
def test_a_mistake_is_reported_in_plain_words_at_its_line(line: str, message: str) -> None:
    found = mistakes(SMALL + f"    {line}\n")
    assert found == [(5 if "twice" in message else 4, message)]


def test_service_and_services_exclude_each_other() -> None:
    assert mistakes(SMALL + "    service: a\n    services: [b]\n") == [
        (3, "`service` and `services` are both set: keep one")
    ]


def test_all_mistakes_are_reported_at_once_in_the_order_of_lines() -> None:
    text = (
        "clusters:\n  local: {kubeconf: x}\ndefaults: {channel: x}\napps:\n  Hello: {}\n  auth:"
        " {on_failure: explode}\nacess: {}\n"
    )
    assert [line for line, _ in mistakes(text)] == [2, 3, 5, 6, 7]


def test_a_cluster_must_be_named_where_there_are_several() -> None:
    text = "clusters: {a: {in_cluster: true}, b: {kubeconfig: ./k}}\napps: {hello: {}}\n"
    assert mistakes(text) == [(2, "`cluster` is missing: use a or b")]


@pytest.mark.parametrize(
    "text", ["", "just words", "- a\n- b", "a: [", "a: b: c", "\t- x", "a: *nope", "x: &x [*x]"]
)
def test_a_file_that_is_no_catalog_is_one_line(text: str) -> None:
    found = mistakes(text)
    assert found and all("\n" not in message for _, message in found)


def test_files_that_are_named_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(
        SMALL + "    manifests: [hello.yaml]\n    files: {secrets: {tls: tls/}}\n", encoding="utf-8"
    )
    with pytest.raises(CatalogMistakes) as caught:
        load_catalog(file)
    assert [(m.line, m.place) for m in caught.value.mistakes] == [
        (4, "apps.hello.manifests"),
        (5, "apps.hello.files.secrets.tls"),
    ]


def test_check_prints_every_mistake_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(SMALL + "    stratgy: canary\n    chanel: C0A\n", encoding="utf-8")
    assert main([str(file)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert (
        told[0] == f"{file}:4: apps.hello.stratgy: unknown key `stratgy`; did you mean `strategy`?"
    )
    assert told[-1] == f"2 mistakes in {file}"
    assert main([str(EXAMPLE)]) == 0
    assert main([str(tmp_path / "none.yaml")]) == 1


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2m", 120_000),
        ("90s", 90_000),
        ("1h30m", 5_400_000),
        ("400d", 34_560_000_000),
        ("1.5s", 1_500),
        ("0", 0),
    ],
)
def test_durations_are_a_number_and_a_unit(text: str, ms: int) -> None:
    assert parse_duration(text) == ms
    assert parse_duration(format_duration(ms)) == ms


@pytest.mark.parametrize("text", ["", "2", "m", "2 m", "-2m", "2m 3", "２m"])
def test_other_texts_are_not_durations(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


# --- links ----------------------------------------------------------------------------------------


def test_links_are_templates_that_defaults_and_app_share() -> None:
    text = (
        "clusters: {local: {in_cluster: true}}\n"
        "defaults: {links: {dashboard: 'https://grafana.example.com/d?var-app={app}'}}\n"
        "apps:\n  hello: {links: {diff: 'https://git.example.com/{app}/compare/{from}...{to}'}}\n"
    )
    assert list(parse_catalog(text).apps["hello"].settings.links) == ["dashboard", "diff"]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("https://git.example.com/{tag}", "unknown placeholder `{tag}`: use {app}, {cluster}"),
        ("javascript:alert(1)", "is not a link"),
        ("ftp://example.com/{app}", "is not a link"),
        ("https://{app}.example.com/", "a host without placeholders"),
        ("https://user@example.com/", "is not a link"),
        ("https://example.com/a b", "encode them as %20"),
        ("https://example.com/{", "encode them as %20"),
    ],
)
def test_a_link_that_leads_nowhere_is_refused(template: str, said: str) -> None:
    ((line, message),) = mistakes(SMALL + f'    links:\n      diff: "{template}"\n')
    assert line == 5 and said in message
