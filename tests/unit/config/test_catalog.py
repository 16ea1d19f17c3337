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
    assert (hello.deployment, hello.services, hello.clusters, hello.namespace) == (
        "hello",
        ("hello",),
        ("local",),
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
    assert hello.settings.approvals.promote.count == 2
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


def test_an_app_that_names_a_role_replaces_that_of_the_defaults() -> None:
    text = (
        "clusters: {local: {in_cluster: true}}\ndefaults: {access: {deployer: {users: [U0ALL]},"
        " admin: {users: [U0ADMIN]}}}\napps:\n  hello: {access: {deployer: {groups: [S0SHOP]}}}\n"
    )
    access = parse_catalog(text).apps["hello"].settings.access
    assert access is not None and access.deployer is not None and access.admin is not None
    assert (access.deployer.users, access.deployer.groups) == ((), ("S0SHOP",))
    assert access.admin.users == ("U0ADMIN",)


def test_an_app_that_says_who_approves_replaces_that_of_the_defaults() -> None:
    text = (
        "clusters: {local: {in_cluster: true}}\ndefaults: {approvals: {promote: {count: 2,"
        " from: [S0SRE]}, expires: 2h}}\napps:\n  hello: {approvals: {promote: 1}}\n  auth: {}\n"
    )
    apps = parse_catalog(text).apps
    hello, auth = (apps[name].settings.approvals for name in ("hello", "auth"))
    assert (hello.promote.count, hello.promote.any_of, hello.expires_ms) == (1, (), 7_200_000)
    assert (auth.promote.count, auth.promote.any_of) == (2, ("S0SRE",))


def test_a_strategy_of_the_defaults_is_compared_with_the_apps() -> None:
    text = "clusters: {local: {in_cluster: true}}\ndefaults: {strategy: canary}\n"
    assert parse_catalog(text + "apps: {hello: {strategies: [canary]}}").apps
    found = mistakes(text + "apps: {hello: {emergency: [canary]}}")
    assert found == [(2, "`canary` is not one of `strategies`: use rolling or bluegreen")]


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
        ("strategies: [canary]", "`rolling` is not one of `strategies`: use canary"),
        (
            "emergency: [rolling]\n    strategies: [rolling]",
            "`rolling` is in `strategies` too: an emergency strategy is not for every day",
        ),
        (
            "emergency: [rolling, canary, bluegreen]",
            "at least one strategy is needed outside an emergency",
        ),
        (
            "access: {viewer: {everyone: true}}",
            (
                "unknown key `viewer`; the known ones are `inherit`, `deployer`, `approver` and"
                " `admin`"
            ),
        ),
        (
            "approvals: {promote: {count: 1, one_from_each: [S0SRE, S0SEC]}}",
            (
                "count (1) is smaller than the 2 groups of `one_from_each`, and no one stands for"
                " two: use 2 or more"
            ),
        ),
        (
            "approvals: {start: {count: 0, from: [S0SRE]}}",
            "count is 0, so `from` is never asked: use 1 or more",
        ),
        ("approvals: {promote: {from: [U0A]}}", "`U0A` is not a user group ID (S…)"),
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


TWO = "clusters: {eu: {in_cluster: true}, us: {kubeconfig: ./k}}\n"


def test_an_app_may_name_several_clusters_or_inherit_them() -> None:
    text = TWO + "defaults: {clusters: [us, eu]}\napps: {hello: {}, auth: {cluster: eu}}\n"
    apps = parse_catalog(text).apps
    assert (apps["hello"].clusters, apps["auth"].clusters) == (("us", "eu"), ("eu",))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("clusters: [eu, eur]", "no cluster `eur`; did you mean `eu`?"),
        ("clusters: [eu, eu]", "`eu` is named twice"),
        ("clusters: []", "at least one cluster is needed"),
        ("clusters: eu", "expected a list, not `eu`"),
        ("cluster: eu, clusters: [us]", "`cluster` and `clusters` are both set: keep one"),
    ],
)
def test_clusters_that_cannot_be_meant_are_one_line(keys: str, message: str) -> None:
    assert mistakes(f"{TWO}apps: {{hello: {{{keys}}}}}\n") == [(2, message)]


LABELLED = (
    "clusters:\n"
    "  eu: {in_cluster: true, labels: {region: eu, provider: gke}}\n"
    "  us-east: {kubeconfig: ./k, labels: {region: us, provider: gke}}\n"
    "  onprem: {kubeconfig: ./k, labels: {region: eu}}\n"
)


@pytest.mark.parametrize(
    ("labels", "clusters"),
    [
        ("region: eu", ("eu", "onprem")),
        ("region: eu, provider: gke", ("eu",)),
        ("provider: gke", ("eu", "us-east")),
    ],
)
def test_an_app_chooses_the_clusters_that_have_all_of_its_labels(
    labels: str, clusters: tuple[str, ...]
) -> None:
    catalog = parse_catalog(f"{LABELLED}apps: {{shop: {{clusters: {{{labels}}}}}}}\n")
    assert catalog.apps["shop"].clusters == clusters


def test_own_labels_are_not_added_to_those_of_the_defaults() -> None:
    text = (
        f"{LABELLED}defaults: {{clusters: {{region: eu}}}}\n"
        "apps: {shop: {clusters: {provider: gke}}, cart: {}}\n"
    )
    apps = parse_catalog(text).apps
    assert apps["shop"].clusters == ("eu", "us-east")
    assert apps["cart"].clusters == ("eu", "onprem")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "clusters: {region: eur}",
            "no cluster has the label `region: eur`; did you mean `region: eu`?",
        ),
        (
            "clusters: {region: us, provider: eks}",
            "no cluster has the label `provider: eks`; did you mean `provider: gke`?",
        ),
        (
            "clusters: {region: us, provider: gke}, overrides: {eu: {}}",
            "the app is not in `eu`; the known ones are `us-east`",
        ),
        ("clusters: {}", "at least one label is needed, such as {region: eu}"),
        (
            "clusters: [eu, onprem], overrides: {onprm: {namespace: shop}}",
            "the app is not in `onprm`; did you mean `onprem`?",
        ),
    ],
)
def test_labels_and_overrides_that_fit_nothing_are_one_line(keys: str, message: str) -> None:
    found = mistakes(f"{LABELLED}apps: {{shop: {{{keys}}}}}\n")
    assert [line for line, _ in found] == [5]
    assert message in found[0][1]


def test_labels_that_no_cluster_has_together_are_one_line() -> None:
    text = f"{LABELLED}  us-west: {{kubeconfig: ./k, labels: {{provider: eks}}}}\n"
    text += "apps: {shop: {clusters: {region: us, provider: eks}}}\n"
    assert mistakes(text) == [(6, "no cluster has all of {region: us, provider: eks}")]


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


def test_check_reads_the_catalog_in_the_charts_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = tmp_path / "values.yaml"
    catalog = (
        "catalog:\n  clusters: {a: {in_cluster: true}}\n  apps:\n    hello: {strategy: rolling}\n"
    )
    values.write_text(f"image: {{tag: x}}\n{catalog}")
    assert main([str(values)]) == 0
    values.write_text(f"image: {{tag: x}}\n{catalog.replace('strategy', 'stratgy')}")
    assert main([str(values)]) == 1
    assert f"{values}:5: apps.hello.stratgy: unknown key `stratgy`" in capsys.readouterr().err


def test_a_probe_says_which_answers_are_good() -> None:
    probe = app("probe: {status: 204, contains: ok, within: 500ms}").apps["hello"].settings.probe
    assert probe is not None
    assert (probe.status, probe.contains, probe.within_ms) == ((204, 204), "ok", 500)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("probe: {status: 399-200}", "`399-200` is not a status or a range of them"),
        ("probe: {status: fine}", "`fine` is not a status or a range of them, such as 200-399"),
        ("probe: {within: 5s}", "within must be from 50ms to 2s: a slower answer is a bad one"),
        ("probe: {}\njudge: {worse_by: 2}", "`2` is not a percentage above 0% and below 100%"),
        ("probe: {}\njudge: {worse_by: 0%}", "`0%` is not a percentage above 0% and below 100%"),
        ("probe: {}\njudge: {worse_by: 60%}", "worse_by must be at most 50%"),
        ("probe: {}\njudge: {false_alarms: 20%}", "false_alarms must be at most 10%"),
        ("judge: {}", "`judge` needs a `probe` without `url`"),
        ("probe: {url: 'http://a'}\njudge: {}", "`judge` needs a `probe` without `url`"),
    ],
)
def test_what_cannot_be_judged_is_one_line(lines: str, message: str) -> None:
    (found,) = mistakes(SMALL + "".join(f"    {line}\n" for line in lines.split("\n")))
    assert message in found[1]


METRICS = (
    "clusters: {local: {in_cluster: true, prometheus: {url: 'http://prometheus:9090'}}}\n"
    "apps: {hello: {judge: {%s}}}\n"
)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("requests: a_total", "`requests` and `errors` belong together"),
        ("requests: 'a_total{b=\"c\"', errors: b_total", "the closing brace } is missing"),
        ("requests: 'a_total{b=c}', errors: b_total", "the value of `b` is not in quotes"),
        ("requests: 'a_total b=\"c\"', errors: b_total", "labels are in braces"),
        ("requests: 'a_total{b=~\"(\"}', errors: b_total", "the pattern of `b` is wrong"),
        ("requests: 'a_total{b=~\"(c*)*\"}', errors: b_total", "may take too long"),
        ("requests: 'rate(a_total[5m])', errors: b_total", "is a function: name the counter"),
        ("requests: 'a_total{b=\"c\"}[5m]', errors: b_total", "is a range: the window is a hold's"),
        ("requests: a_requests, errors: b_total", "its name ends with _total or _count"),
        ("requests: nginx_ingress_controller_requests, errors: b_total", "per Service and not"),
        ("preset: prometheus, latency: {histogram: a_seconds_sum}", "write `a_seconds_bucket`"),
        ("requests: a_total, errors: b_total, latency: {}", "`latency` needs `histogram`"),
        ("window: 5m", "`window` does nothing without `requests` and `errors`"),
        ("preset: istio, window: 5s", "window must be at least 30s"),
    ],
)
def test_what_cannot_be_counted_is_one_line(keys: str, message: str) -> None:
    (found,) = mistakes(METRICS % keys)
    assert message in found[1]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{url: 'ftp://p'}", "is not a URL (http:// or https://)"),
        ("{url: 'http://p?x=1'}", "is not the URL of a Prometheus"),
        ("{url: 'http://me:secret@p'}", "url holds no user and no password"),
        ("{url: 'http://p.example.com', token_file: t}", "a token is not sent over plain http"),
    ],
)
def test_an_address_of_prometheus_that_cannot_be_is_one_line(entry: str, message: str) -> None:
    text = (METRICS % "preset: istio").replace("{url: 'http://prometheus:9090'}", entry)
    (found,) = mistakes(text)
    assert message in found[1]


def test_each_cluster_of_an_app_needs_a_prometheus() -> None:
    (found,) = mistakes(SMALL + "    judge: {preset: linkerd}\n")
    assert "no metrics: cluster `local` has no `prometheus`" in found[1]


def test_defaults_may_judge_what_the_app_probes() -> None:
    text = (
        "clusters: {local: {in_cluster: true}}\ndefaults: {judge: {worse_by: 0.5%}}\n"
        "apps: {hello: {probe: {path: /healthz}}}\n"
    )
    judge = parse_catalog(text).apps["hello"].settings.judge
    assert judge is not None and judge.worse_by == 0.005 and judge.extend_ms == 300_000


def test_a_token_names_apps_and_clusters_of_the_catalog() -> None:
    token = "{name: ci, file: t, apps: [helo], clusters: [lokal], expires: 2027-01-01}"
    found = mistakes(f"{SMALL}    channel: C0A\napi: {{port: 3001, tokens: [{token}]}}\n")
    assert found == [
        (5, "no app `helo`; did you mean `hello`?"),
        (5, "no cluster `lokal`; did you mean `local`?"),
    ]


WINDOW = 'scope: {scope}, rule: "{rule}", for: {lasts}, timezone: {zone}, reason: weekend'


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, ""),
        ({"scope": "hello"}, ""),
        ({"scope": "cluster:local"}, ""),
        ({"scope": "helo"}, "nothing is called `helo`; did you mean `hello`?"),
        ({"zone": "Europe/Berln"}, "no time zone `Europe/Berln`; did you mean `Europe/Berlin`?"),
        (
            {"lasts": "8d"},
            "the window never ends: the next one begins before it does; shorten `for`",
        ),
        ({"rule": "FREQ=DAILY;COUNT=2"}, "COUNT has no date to count from: use UNTIL"),
    ],
)
def test_a_window_is_checked_at_its_line(changed: dict[str, str], message: str) -> None:
    usual = {"scope": "all", "rule": "FREQ=WEEKLY", "lasts": "64h", "zone": "UTC"}
    window = WINDOW.format(**{**usual, **changed})
    text = f"{SMALL}    channel: C0RELEASES\nfreezes:\n  - {{{window}}}\n"
    if message:
        assert mistakes(text) == [(6, message)]
        return
    (freeze,) = parse_catalog(text).freezes
    assert freeze.override == "one"
