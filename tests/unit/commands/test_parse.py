"""What a typed line means, and the nearest valid form of each mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.model import (
    ApplyCommand,
    AppsCommand,
    ClearCommand,
    Command,
    DeployCommand,
    ExplainCommand,
    FreezeCommand,
    GetCommand,
    HelpCommand,
    InCluster,
    Mistake,
    PodsCommand,
    ReleaseCommand,
    ReleasesCommand,
    RolloutCommand,
    ScaleCommand,
    TrafficCommand,
    UnfreezeCommand,
    WhoamiCommand,
)
from bot.commands.normalise import normalise, without_mention
from bot.commands.parse import parse
from bot.commands.table import (
    BY_NAME,
    COMMANDS,
    ROLLOUT_VERBS,
    KnownNames,
    Names,
    answers_channel,
    permission_of,
    spoken,
)
from bot.policy.permissions import Permission
from bot.releases.facts.target import Strategy

MANY = KnownNames(
    apps=("hello", "auth", "frontend"),
    here=("hello", "auth"),
    clusters=("local", "prod-eu"),
    labels={"prod-eu": {"region": "eu"}},
)
ONE = KnownNames(apps=("hello",), here=("hello",), clusters=("local",))
DIGEST = "sha256:" + "a" * 64

FORMS: list[tuple[str, Command]] = [
    ("deploy hello 2.0.0", DeployCommand("hello", "2.0.0")),
    ("/deploy hello 2.0.0", DeployCommand("hello", "2.0.0")),
    ("DEPLOY Hello 2.0.0 Canary", DeployCommand("hello", "2.0.0", Strategy.CANARY)),
    ("deploy hello:2.0.0", DeployCommand("hello", "2.0.0")),
    (f"deploy hello@{DIGEST}", DeployCommand("hello", DIGEST)),
    (f"deploy hello {DIGEST}", DeployCommand("hello", DIGEST)),
    ("deploy deployment/hello 2.0.0", DeployCommand("hello", "2.0.0")),
    ("deploy deploy/hello 2.0.0", DeployCommand("hello", "2.0.0")),
    (
        "deploy hello kelseyhightower/hello:2.0.0",
        DeployCommand("hello", "kelseyhightower/hello:2.0.0"),
    ),
    (
        "deploy hello <http://gcr.io/a/hello:1.0|gcr.io/a/hello:1.0>",
        DeployCommand("hello", "gcr.io/a/hello:1.0"),
    ),
    ("deploy hello 2.0.0 blue/green", DeployCommand("hello", "2.0.0", Strategy.BLUEGREEN)),
    ("deploy hello 2.0.0 blue-green", DeployCommand("hello", "2.0.0", Strategy.BLUEGREEN)),
    ("deploy hello 2.0.0 bg", DeployCommand("hello", "2.0.0", Strategy.BLUEGREEN)),
    ("deploy hello 2.0.0 --strategy=canary", DeployCommand("hello", "2.0.0", Strategy.CANARY)),
    ("deploy hello 2.0.0 in=prod-eu", DeployCommand("hello", "2.0.0", cluster="prod-eu")),
    (
        "deploy hello 2.0.0 canary steps=20,50 hold=2m",
        DeployCommand("hello", "2.0.0", Strategy.CANARY, steps=(20, 50), hold_ms=120_000),
    ),
    (
        "deploy hello 2.0.0 canary steps=20%,50%,100",
        DeployCommand("hello", "2.0.0", Strategy.CANARY, steps=(20, 50)),
    ),
    (
        "deploy hello 2.0.0 canary sticky",
        DeployCommand("hello", "2.0.0", Strategy.CANARY, sticky=True),
    ),
    ("deploy hello 2.0.0 dry-run", DeployCommand("hello", "2.0.0", dry_run=True)),
    ("deploy hello 2.0.0 —dry-run", DeployCommand("hello", "2.0.0", dry_run=True)),
    ("deploy hello 2.0.0 –dry-run", DeployCommand("hello", "2.0.0", dry_run=True)),
    ("deploy hello 2.0.0 --dry-run=server", DeployCommand("hello", "2.0.0", dry_run=True)),
    *(
        (f"deploy hello 2.0.0 {spelling}", DeployCommand("hello", "2.0.0", dry_run=True))
        for spelling in (
            "dry\u2010run",
            "dry\u2011run",
            "dry\u2012run",
            "dry–run",
            "dry—run",
            "dry\u2212run",
            "\u2011\u2011dry\u2011run",
            "--dry–run",
            "dryrun",
            "DryRun",
            "dry_run",
            "--dry_run",
            "--dryrun=server",
            "dry run",
            "--dry run",
            "dry-rum",
            "—dry-rn",
            "drry-run",
        )
    ),
    (
        "deploy hello dryrun 2.0.0 canary",
        DeployCommand("hello", "2.0.0", Strategy.CANARY, dry_run=True),
    ),
    ("deploy hello 2.0.0 --dry-run=false", DeployCommand("hello", "2.0.0")),
    ("deploy hello 2.0.0\u2011rc1", DeployCommand("hello", "2.0.0-rc1")),
    (
        'deploy hello 2.0.0 reason="a – b, c–d"',
        DeployCommand("hello", "2.0.0", reason="a – b, c–d"),
    ),
    (
        "deploy hello 2.0.0 reason=“faster start”",
        DeployCommand("hello", "2.0.0", reason="faster start"),
    ),
    ("deploy hello 2.0.0 reason=don't", DeployCommand("hello", "2.0.0", reason="don't")),
    (
        'deploy hello 2.0.0 reason="빠른 시작 🚀 مرحبا"',
        DeployCommand("hello", "2.0.0", reason="빠른 시작 🚀 مرحبا"),
    ),
    (
        'deploy hello 2.0.0 reason="a &lt;b&gt; &amp; c"',
        DeployCommand("hello", "2.0.0", reason="a <b> & c"),
    ),
    ("deploy `hello` `2.0.0`", DeployCommand("hello", "2.0.0")),
    ("deploy\u00a0hello\u00a02.0.0", DeployCommand("hello", "2.0.0")),
    ("deploy", DeployCommand()),
    ("deploy hello", DeployCommand("hello")),
    ("scale hello 5", ScaleCommand("hello", 5)),
    ("scale hello 0", ScaleCommand("hello", 0)),
    ("scale hello --replicas=5", ScaleCommand("hello", 5)),
    ("scale --replicas 5 deployment/hello", ScaleCommand("hello", 5)),
    ("rollout status", RolloutCommand("status", None)),
    ("rollout status hello", RolloutCommand("status", "hello")),
    ("rollout undo hello --to-revision=2", RolloutCommand("undo", "hello", 2)),
    ("rollout undo hello —to-revision 2", RolloutCommand("undo", "hello", 2)),
    ("rollout history hello --revision=2", RolloutCommand("history", "hello", 2)),
    ("rollout history --revision 2 deployment/hello", RolloutCommand("history", "hello", 2)),
    ("rollout Restart deployment/hello", RolloutCommand("restart", "hello")),
    ("rollout abort hello --force", RolloutCommand("abort", "hello", force=True)),
    (
        'rollout abort hello reason="error rate"',
        RolloutCommand("abort", "hello", reason="error rate"),
    ),
    ("pods", PodsCommand()),
    ("pods hello", PodsCommand("hello")),
    ("get deploy", GetCommand("deployments")),
    ("get rs hello wide", GetCommand("replicasets", "hello", True)),
    ("get po -o wide", GetCommand("pods", None, True)),
    ("get po -owide", GetCommand("pods", None, True)),
    ("get svc/hello", GetCommand("services", "hello")),
    ("get ev hello", GetCommand("events", "hello")),
    ("explain deployment.spec.strategy", ExplainCommand("deployment.spec.strategy")),
    ("explain pod.spec --recursive", ExplainCommand("pod.spec", True)),
    ("apply hello", ApplyCommand("hello")),
    ("traffic hello", TrafficCommand("hello")),
    ("releases", ReleasesCommand()),
    ("releases hello", ReleasesCommand("hello")),
    ("release hello-42", ReleaseCommand("hello-42")),
    ("release `Hello-42`", ReleaseCommand("hello-42")),
    ("release old-app-7", ReleaseCommand("old-app-7")),
    ("release hello", ReleaseCommand(app="hello")),
    ("release hello-42 compare", ReleaseCommand("hello-42", compare=True)),
    (
        "release <https://acme.slack.com/archives/C0RELEASES/p1800000000000100>",
        ReleaseCommand(card="C0RELEASES/1800000000.000100"),
    ),
    (
        "release https://acme.slack.com/archives/C1/p1800000009000300?thread_ts=1800000000.000100",
        ReleaseCommand(card="C1/1800000000.000100"),
    ),
    ("apps", AppsCommand()),
    ("whoami", WhoamiCommand()),
    ("", HelpCommand()),
    ("help", HelpCommand()),
    ("help /deploy", HelpCommand("deploy")),
    ("help undo", HelpCommand("rollout")),
    (
        'freeze all reason="holidays" until=72h',
        FreezeCommand("all", "holidays", for_ms=72 * 3_600_000),
    ),
    (
        "freeze hello reason=x until=2026-12-31T18:00Z",
        FreezeCommand("hello", "x", until_ms=1_798_740_000_000),
    ),
    (
        "freeze hello reason=x until=2h running=hold",
        FreezeCommand("hello", "x", for_ms=2 * 3_600_000, running="hold"),
    ),
    ("freeze region:eu reason=x", FreezeCommand("region:eu", "x")),
    ("freeze cluster:prod-eu reason=x", FreezeCommand("cluster:prod-eu", "x")),
    ("unfreeze hello", UnfreezeCommand("hello")),
    ("clear hello reason=fixed", ClearCommand("hello", "", "fixed")),
    ('clear hello 2.0.0 reason="a fix"', ClearCommand("hello", "2.0.0", "a fix")),
]

MISTAKES: list[tuple[str, str]] = [
    ("deploy helo 2.0.0", "No app `helo`. Did you mean `hello`?"),
    ("deploy deployment/helo 2.0.0", "No app `helo`. Did you mean `hello`?"),
    ("deploy helo:2.0.0", "No app `helo`. Did you mean `hello`?"),
    ("deploy zzzzzz 2.0.0", "No app `zzzzzz`. Choose `hello`, `auth` or `frontend`."),
    ("deploy 2.0.0", "Which app? `hello` or `auth`"),
    ("release", "Which release? Name one, such as `hello-42`, or paste a link to its card."),
    ("release hello 2.0.0", "To release a version: `/deploy hello 2.0.0`"),
    ("release helo 2.0.0", "No app `helo`. Did you mean `hello`?"),
    ("release hello-42 pods", "`pods` is one word too many."),
    ("deploy hello 2.0.0 cannary", "No strategy `cannary`. Did you mean `canary`?"),
    ("deploy hello 2.0.0 zzz", "No strategy `zzz`. Choose rolling, canary or bluegreen."),
    ("deploy hello 2.0.0 stps=20", "No option `stps`. Did you mean `steps=…`?"),
    ("deploy hello 2.0.0 canary please", "`please` is one word too many."),
    ("deploy hello 2.0.0 reason=fix the bug", 'Put the reason in quotes: reason="fix the bug"'),
    (
        "deploy hello 2.0.0 reason=“fix",
        'A quote is not closed. Write reason="…" with a quote at each end.',
    ),
    ("deploy hello 2.0.0 canary steps=50,20", "Steps must rise. Write steps=20,50."),
    (
        "deploy hello 2.0.0 canary steps=0",
        "Each step is a percentage of traffic from 1 to 100. Write steps=20,50.",
    ),
    (
        "deploy hello 2.0.0 canary hold=2",
        "`2` is not a duration: write a number and a unit, such as 90s, 2m or 1h30m",
    ),
    ("deploy hello 2.0.0 bluegreen steps=20", "`steps` is for canary, not for bluegreen."),
    ("deploy hello 2.0.0 in=prod", "No cluster `prod`. Did you mean `in=prod-eu`?"),
    (
        "deploy hello 2..$",
        "`2..$` is not a version. Write a tag such as 2.0.0, a digest, or a full image.",
    ),
    ("scale hello", "How many replicas?"),
    ("scale hello five", "`five` is not a number of replicas."),
    ("scale hello -1", "`-1` is not a number of replicas."),
    ("scale 5", "Which app? `hello` or `auth`"),
    ("rollout", "Which verb? status, history, pause, resume, undo, restart, promote or abort"),
    ("rollout udno hello", "No verb `udno`. Did you mean `/rollout undo hello`?"),
    ("rollout hello status", "The verb comes first: `/rollout status hello`"),
    ("rollout undo hello --to-revision x", "`x` is not a revision."),
    (
        "rollout pause hello --to-revision 2",
        "`--to-revision` is for undo and history, not for pause.",
    ),
    ("rollout undo hello --to-revision", "`--to-revision` needs a value."),
    ("rollout pause", "Which app? `hello` or `auth`"),
    ("get", "Which kind? deployments, replicasets, pods, services or events"),
    ("get pdos", "No kind `pdos`. Did you mean `/pilothouse get pods`?"),
    (
        "get secrets",
        (
            "get does not show `secrets`. It shows"
            " deployments, replicasets, pods, services and events."
        ),
    ),
    ("get servces", "No kind `servces`. Did you mean `/pilothouse get services`?"),
    ("get pods hello wide please", "`please` is one word too many."),
    ("get pods -o yaml", "The only output is `wide`, not `yaml`."),
    ("get pods helo", "No app `helo`. Did you mean `hello`?"),
    ("pods helo", "No app `helo`. Did you mean `hello`?"),
    ("scale hello 5 6", "`5` is one word too many."),
    ("scale hello 99999999999", "`99999999999` is not a number of replicas."),
    ("rollout history hello --revision two", "`two` is not a revision."),
    (
        "rollout restart hello --revision 2",
        "`--revision` is for undo and history, not for restart.",
    ),
    ("rollout status hello now", "`now` is one word too many."),
    ("apply", "Which app? `hello` or `auth`"),
    ("apply helo", "No app `helo`. Did you mean `hello`?"),
    ("apply hello --force", "No option `force`. Options of apply: in=…."),
    ("apply -f hello.yaml", "No option `f`. Options of apply: in=…."),
    ("traffic helo", "No app `helo`. Did you mean `hello`?"),
    ("traffic hello 100", "`100` is one word too many."),
    ("releases helo", "No app `helo`. Did you mean `hello`?"),
    ("releases hello 5", "`5` is one word too many."),
    ("whoami please", "`please` is one word too many."),
    ("help scael", "No command `scael`. Did you mean `/pilothouse help scale`?"),
    ("explain deployment spec", "`spec` is one word too many."),
    ("explain deployment --depth=2", "No option `depth`. Options of explain: in=… and recursive."),
    ("explain", "Which field? Name a kind and its fields, joined by dots."),
    ("explain pod..spec", "`pod..spec` is not a path of fields."),
    ("apps hello", "`hello` is one word too many."),
    ("freeze hello", "A freeze needs a reason."),
    ("clear hello 2.0.0", "Why may machines release it again?"),
    ("clear hello 2.0.0 3.0.0 reason=x", 'Put the reason in quotes: reason="x 3.0.0"'),
    (
        "freeze hello reason=x until=soon",
        "`until=soon` is neither a duration nor a time. Write until=2h or until=2026-12-31T18:00Z.",
    ),
    (
        "freeze hello reason=x running=stop",
        "`running=stop` is neither hold nor continue. Write running=hold.",
    ),
    (
        "freeze region:us reason=x",
        "No cluster has the label `region:us`. Did you mean `region:eu`?",
    ),
    ("unfreeze cluster:prod", "No cluster `prod`. Did you mean `cluster:prod-eu`?"),
    ("rollback hello", "No command `rollback`. Did you mean `/rollout undo hello`?"),
    ("promote hello", "No command `promote`. Did you mean `/rollout promote hello`?"),
    ("hi there", "No command `hi`. Did you mean `/pilothouse help`?"),
    ("statsu hello", "No command `statsu`. Did you mean `/rollout status hello`?"),
    ("deplyo hello 2.0.0", "No command `deplyo`. Did you mean `/deploy hello 2.0.0`?"),
    ("help deploi", "No command `deploi`. Did you mean `/pilothouse help deploy`?"),
    ("pods <!channel>", "No app `@channel`. Choose `hello`, `auth` or `frontend`."),
]


@pytest.mark.parametrize(("text", "command"), FORMS, ids=[text or "(nothing)" for text, _ in FORMS])
def test_a_valid_form_means_its_command(text: str, command: Command) -> None:
    assert parse(text, MANY) == command


@pytest.mark.parametrize(("text", "line"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_gets_one_line_with_the_nearest_valid_form(text: str, line: str) -> None:
    mistake = parse(text, MANY)
    assert isinstance(mistake, Mistake)
    assert mistake.line == line
    assert "\n" not in mistake.line


FLEET = KnownNames(
    apps=("hello", "auth"),
    here=("hello", "auth"),
    clusters=("eu", "us", "lab"),
    clusters_of={"hello": ("eu", "us"), "auth": ("eu",)},
)
IN_US: list[tuple[str, Command]] = [
    ("deploy hello 2.0.0", DeployCommand("hello", "2.0.0", cluster="us")),
    ("scale hello 5", ScaleCommand("hello", 5, cluster="us")),
    ("rollout status hello", RolloutCommand("status", "hello", cluster="us")),
    ("rollout undo hello", RolloutCommand("undo", "hello", cluster="us")),
    ("pods hello", PodsCommand("hello", cluster="us")),
    ("get events hello", GetCommand("events", "hello", cluster="us")),
    ("explain deployment.spec", ExplainCommand("deployment.spec", cluster="us")),
    ("apply hello", ApplyCommand("hello", cluster="us")),
    ("traffic hello", TrafficCommand("hello", cluster="us")),
    ("release hello", ReleaseCommand(app="hello", cluster="us")),
]


MEAN_ALL = ("deploy hello 2.0.0", "rollout undo hello")
"""They mean a fleet where no cluster is named."""
SHOW_EACH = ("rollout status hello", "pods hello", "get events hello", "traffic hello")
"""They show all clusters side by side."""


@pytest.mark.parametrize(("text", "command"), IN_US, ids=[text for text, _ in IN_US])
def test_in_means_the_same_in_every_command(text: str, command: Command) -> None:
    assert parse(f"{text} in=us", FLEET) == parse(f"{text} --in us", FLEET) == command
    if isinstance(command, DeployCommand | RolloutCommand) and text in MEAN_ALL:
        everywhere = replace(command, cluster=None, clusters=("eu", "us"))
        assert parse(text, FLEET) == parse(f"{text} in=eu,us", FLEET) == everywhere
        return
    if text in SHOW_EACH:
        assert isinstance(command, InCluster)
        assert parse(text, FLEET) == replace(command, cluster=None)
        return
    missing = parse(text, FLEET)
    assert isinstance(missing, Mistake)
    assert missing.line.endswith("in eu and us. Which one? Add `in=eu` or `in=us`.")
    assert [one.text for one in missing.instead] == [f"{text} in=eu", f"{text} in=us"]
    both = parse(f"{text} in=eu,us", FLEET)
    assert isinstance(both, Mistake) and both.line.startswith("`in=` takes one cluster. Write ")


@pytest.mark.parametrize("text", [text for text, _ in IN_US])
def test_a_cluster_that_is_not_the_apps_is_a_mistake_in_every_command(text: str) -> None:
    unknown = parse(f"{text} in=uss", FLEET)
    assert isinstance(unknown, Mistake)
    assert unknown.line == "No cluster `uss`. Did you mean `in=us`?"
    assert [one.text for one in unknown.instead] == [f"{text} in=us"]
    foreign = parse(f"{text} in=lab", FLEET)
    if "hello" in text:
        assert isinstance(foreign, Mistake)
        assert foreign.line == "hello is in eu and us, not in lab. Write `in=eu` or `in=us`."


def test_the_only_cluster_of_an_app_may_be_named_or_left_out() -> None:
    assert parse("scale auth 2", FLEET) == ScaleCommand("auth", 2)
    assert parse("scale auth 2 in=eu", FLEET) == ScaleCommand("auth", 2, cluster="eu")
    foreign = parse("scale auth 2 in=us", FLEET)
    assert isinstance(foreign, Mistake)
    assert foreign.line == "auth is in eu, not in us. Write `in=eu`."
    assert [(one.text, one.how) for one in foreign.instead] == [("scale auth 2 in=eu", "confirm")]


def test_lists_take_any_cluster_and_need_none() -> None:
    assert parse("releases hello", FLEET) == ReleasesCommand("hello")
    assert parse("apps in=lab", FLEET) == AppsCommand(cluster="lab")
    assert parse("pods in=us", FLEET) == PodsCommand(cluster="us")
    assert parse("release hello-42", FLEET) == ReleaseCommand("hello-42")
    of_one = parse("release hello-42 in=eu", FLEET)
    assert isinstance(of_one, Mistake) and "Name it without `in=`" in of_one.line


def test_the_thread_of_a_release_knows_its_cluster() -> None:
    in_thread = KnownNames(
        FLEET.apps, ("hello",), FLEET.clusters, clusters_of=FLEET.clusters_of, at="us"
    )
    assert parse("rollout undo", in_thread) == RolloutCommand("undo", "hello", cluster="us")
    assert parse("pods in=eu", in_thread) == PodsCommand("hello", cluster="eu")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("deploy 2.0.0", DeployCommand("hello", "2.0.0")),
        ("deploy 2.0.0 canary", DeployCommand("hello", "2.0.0", Strategy.CANARY)),
        (
            "deploy kelseyhightower/hello:2.0.0",
            DeployCommand("hello", "kelseyhightower/hello:2.0.0"),
        ),
        ("scale 3", ScaleCommand("hello", 3)),
        ("rollout undo", RolloutCommand("undo", "hello")),
        ("pods", PodsCommand("hello")),
        ("apply", ApplyCommand("hello")),
    ],
)
def test_the_app_may_be_left_out_where_only_one_fits(text: str, command: Command) -> None:
    assert parse(text, ONE) == command


@pytest.mark.parametrize("name", list(BY_NAME))
def test_every_command_of_the_table_has_a_form_a_permission_and_examples_that_parse(
    name: str,
) -> None:
    assert any(command.kind == name for _, command in FORMS)
    for example in BY_NAME[name].examples:
        command = parse(f"{name} {example.format(app='hello')}", MANY)
        assert not isinstance(command, Mistake)
        assert command.kind == name
        assert permission_of(command) in {permission.value for permission in Permission}
        assert answers_channel(command) in (True, False)


@pytest.mark.parametrize("verb", list(ROLLOUT_VERBS))
def test_every_verb_of_rollout_parses_and_needs_a_permission(verb: str) -> None:
    command = parse(f"rollout {verb} hello", MANY)
    assert isinstance(command, RolloutCommand)
    assert permission_of(command) == {
        "status": "read",
        "history": "read",
        "promote": "approve",
    }.get(verb, "deploy")


def test_forcing_an_abort_needs_an_admin() -> None:
    command = parse("rollout abort hello --force", MANY)
    assert not isinstance(command, Mistake)
    assert permission_of(command) == "admin"


def test_hints_name_only_commands_that_are_registered_here() -> None:
    names = Names(installed=("deploy",), prefix="ph-")
    mistake = parse("scale hello", KnownNames(("hello",), names=names))
    assert isinstance(mistake, Mistake)
    assert mistake.hint == "/ph-pilothouse scale hello 3"
    assert names.example("deploy", "hello") == "/ph-deploy hello 2.0.0"


@pytest.mark.parametrize(
    ("slash", "text", "said"),
    [
        ("/deploy", "hello 2.0.0", "deploy hello 2.0.0"),
        ("/pilothouse", "rollout status hello", "rollout status hello"),
        ("/pilothouse", "", ""),
        ("/ph-deploy", "hello 2.0.0", "deploy hello 2.0.0"),
        ("/ph-unfreeze", "all", "unfreeze all"),
        ("/whoami", "", "whoami"),
    ],
)
def test_a_prefixed_slash_command_keeps_its_name(slash: str, text: str, said: str) -> None:
    assert spoken(slash, text) == said


def test_a_mention_is_removed_anywhere() -> None:
    assert without_mention("<@U0BOT> rollout status", "U0BOT") == "rollout status"
    assert without_mention("hey <@U0BOT|pilothouse>, pods", "U0BOT").split() == ["hey", "pods"]


def test_other_mentions_stay_as_ids_and_broadcasts_become_plain_words() -> None:
    assert (
        normalise("<@U1|someone> <#C1|releases> <!channel> <!subteam^S1>")
        == "<@U1> #releases @channel @subteam"
    )


def test_a_command_longer_than_slack_could_send_is_a_mistake() -> None:
    assert isinstance(parse("deploy hello " + "x" * 4_000, MANY), Mistake)


@given(st.text(max_size=200))
def test_any_text_is_a_command_or_a_mistake_in_one_line(text: str) -> None:
    meant = parse(text, MANY)
    if isinstance(meant, Mistake):
        assert meant.line and "\n" not in meant.line


@given(
    st.sampled_from([spec.name for spec in COMMANDS]), st.lists(st.text(max_size=12), max_size=6)
)
def test_any_words_after_a_command_are_that_command_or_a_mistake(
    name: str, words: list[str]
) -> None:
    meant = parse(f"{name} {' '.join(words)}", MANY)
    assert isinstance(meant, Mistake) or meant.kind == name


@given(st.text(max_size=100))
def test_normalising_twice_changes_nothing_more_than_entities(text: str) -> None:
    plain = text.replace("&", "").replace("<", "").replace(">", "")
    assert normalise(normalise(plain)) == normalise(plain)


def offered(text: str, known: KnownNames = MANY) -> list[tuple[str, str]]:
    mistake = parse(text, known)
    assert isinstance(mistake, Mistake), text
    return [(one.text, one.how) for one in mistake.instead]


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        # a near app: the form, filled in; nothing like it: the list of apps
        ("deploy helo 2.0.0 canary", [("deploy hello 2.0.0 canary", "form")]),
        ("deploy helo 2.0.0 dry-run", [("deploy hello 2.0.0 dry-run", "run")]),
        ("deploy payments 2.0.0", [("apps", "run")]),
        ("rollout undo payments", [("apps", "run")]),
        ("rollout undo helo", [("rollout undo hello", "confirm")]),
        ("scale helo 3", [("scale hello 3", "confirm")]),
        ("pods helo", [("pods hello", "run")]),
        # a word that may have asked for caution is never simply dropped
        ("deploy hello 2.0.0 plan", [("deploy hello 2.0.0", "form")]),
        ("deploy hello 2.0.0 cannary", [("deploy hello 2.0.0 canary", "confirm")]),
        ("deploy hello 2.0.0 cannary dry-run", [("deploy hello 2.0.0 canary dry-run", "run")]),
        ("deploy hello to 2.0.0", [("deploy hello 2.0.0", "confirm")]),
        ("deploy hello to 2.0.0 dryrun", [("deploy hello 2.0.0 dryrun", "run")]),
        ("rollback hello", [("rollout undo hello", "confirm")]),
        ("deploi hello 2.0.0", [("deploy hello 2.0.0", "confirm")]),
    ],
)
def test_a_suggestion_is_at_least_as_careful_as_what_was_typed(
    text: str, instead: list[tuple[str, str]]
) -> None:
    assert offered(text) == instead


@given(st.sampled_from(["2.0.0", "helo 2.0.0", "hello to 2.0.0", "hello 2.0.0 cannary"]))
def test_no_suggestion_loses_a_dry_run(words: str) -> None:
    for text, how in offered(f"deploy {words} dry‑run"):
        command = parse(text, MANY)
        assert isinstance(command, AppsCommand) or getattr(command, "dry_run", False), (text, how)
