"""`/apply`: creates an app from its manifests, changes it by them, and respects releases and
scaling."""

from __future__ import annotations

import base64
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from tests.journeys.conftest import (
    ADMIN,
    CHANNEL,
    DEVELOPER,
    MANAGER,
    NOT_A_KEY,
    SECOND,
    VIEWER,
    Ground,
    Journey,
)
from tests.journeys.endpoints import newest, sees_privately

_numbers = itertools.count(1)


@pytest.fixture
def unmade(ground: Ground) -> Journey:
    """An app of the catalog, with manifests and files, that is not yet in the cluster."""
    return ground.journey(f"made{next(_numbers)}")


def _manifest(journey: Journey) -> Path:
    return journey.sandbox.folder / "apply" / f"{journey.app}.yaml"


def _edit(journey: Journey, **container: Any) -> None:
    objects = list(yaml.safe_load_all(_manifest(journey).read_text(encoding="utf-8")))
    objects[0]["spec"]["template"]["spec"]["containers"][0] |= container
    _manifest(journey).write_text(yaml.safe_dump_all(objects), encoding="utf-8")


def _make(journey: Journey) -> str:
    """The diff that was shown before the change."""
    journey.say("/apply {app}")
    diff = journey.sees(r"Apply the manifests of {app}\?")
    journey.click("Apply", user=DEVELOPER)
    journey.sees(r"{app} applied by developer:", user=VIEWER)  # a change of the cluster is public
    journey.until(lambda: (journey.deployment().status.available_replicas or 0) == 2, "both pods")
    return diff


@pytest.mark.slow
def test_apply_previews_what_it_creates(unmade: Journey) -> None:
    unmade.say("/apply {app}")
    diff = unmade.sees(r"Apply the manifests of {app}\?")
    for what in (
        f"Deployment default/{unmade.app}",
        f"Service default/{unmade.app}",
        f"Secret default/{unmade.app}-tls",
    ):
        assert f"create: {what}" in diff
    assert not unmade.exists(unmade.app), "showing is not doing"
    unmade.click("Apply", user=DEVELOPER)
    unmade.sees(rf"{unmade.app} applied by developer: .*Deployment {unmade.app} created")
    unmade.until(lambda: unmade.versions() == {"1.0.0": 2}, "two pods")
    secret = unmade.core.read_namespaced_secret(f"{unmade.app}-tls", "default")
    assert base64.b64decode(secret.data["key.pem"]).decode() == NOT_A_KEY
    assert unmade.core.read_namespaced_config_map(f"{unmade.app}-conf", "default").data == {
        "proxy.conf": "listen 80;\n"
    }
    assert {entry.manager for entry in unmade.deployment().metadata.managed_fields} >= {
        "pilothouse-apply"
    }


@pytest.mark.slow
def test_applying_twice_changes_nothing(unmade: Journey) -> None:
    _make(unmade)
    before = len(unmade.writes())
    unmade.say("/apply {app}")
    unmade.sees(r"{app} is as its manifests say: nothing to apply")
    assert len(unmade.writes()) == before


@pytest.mark.slow
def test_apply_keeps_the_image_of_a_deploy_and_the_replicas_of_a_scale(
    unmade: Journey,
) -> None:
    _make(unmade)
    unmade.say("/deploy {app} 2.0.0")
    unmade.sees(r"{app} is on 2\.0\.0")
    unmade.say("/scale {app} 3")
    unmade.sees(r"{app} has 3 pods")
    unmade.say("/apply {app}")
    unmade.sees(r"{app} is as its manifests say: nothing to apply")
    assert unmade.deployment().spec.replicas == 3
    assert unmade.versions() == {"2.0.0": 3}


@pytest.mark.slow
def test_a_template_change_rolls_as_a_release(
    unmade: Journey,
) -> None:
    _make(unmade)
    unmade.say("/deploy {app} 2.0.0")
    unmade.sees(r"{app} is on 2\.0\.0")
    unmade.say("/scale {app} 3")
    unmade.sees(r"{app} has 3 pods")
    _edit(unmade, env=[{"name": "GREETING", "value": "hello"}])
    since = newest(unmade, DEVELOPER)
    unmade.say("/apply {app}")
    sees_privately(
        unmade, "its pod template changes: that part runs as a rolling release", DEVELOPER, since
    )
    unmade.click("Apply", user=DEVELOPER)
    unmade.sees(r"{app} applied by developer: .*Its pods were rolled on 2\.0\.0")
    container = unmade.deployment().spec.template.spec.containers[0]
    assert [(one.name, one.value) for one in container.env] == [("GREETING", "hello")]
    assert container.image == f"pilothouse/{unmade.app}:2.0.0"
    assert unmade.deployment().spec.replicas == 3
    assert "apply" in unmade.say("/pilothouse releases {app}")


@pytest.mark.slow
def test_an_outdated_preview_is_shown_again_before_anything_is_applied(
    unmade: Journey,
) -> None:
    unmade.say("/apply {app}")
    unmade.sees(r"Apply the manifests of {app}\?")
    _edit(unmade, env=[{"name": "GREETING", "value": "hello"}])
    unmade.click("Apply", user=DEVELOPER)
    assert "GREETING" in unmade.sees(
        r"Deployment default/{app} changed since it was shown\. Check again\. Apply"
    )
    assert not unmade.exists(unmade.app)
    unmade.click("Apply", user=DEVELOPER)
    unmade.sees(r"{app} applied by developer:")
    assert unmade.exists(unmade.app)


@pytest.mark.slow
def test_a_secret_that_changed_outdates_the_preview_without_showing_its_value(
    unmade: Journey,
) -> None:
    _make(unmade)
    made = _manifest(unmade).read_text(encoding="utf-8")

    def keep(value: str) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{unmade.app}-more"},
            "stringData": {"password": value},
        }
        _manifest(unmade).write_text(f"{made}\n---\n{yaml.safe_dump(secret)}", encoding="utf-8")

    keep("first")
    unmade.say("/apply {app}")
    shown = unmade.sees(r"create: Secret default/{app}-more")
    keep("second")
    unmade.click("Apply", user=DEVELOPER)
    again = unmade.sees(
        r"Nothing was applied: Secret default/{app}-more changed since it was shown\."
        r" Check again\. Apply"
    )
    assert again.partition("?")[2] == shown.partition("?")[2], "to the eye it is the same"
    unmade.click("Apply", user=DEVELOPER)
    unmade.sees(r"{app} applied by developer: Secret {app}-more created")
    secret = unmade.core.read_namespaced_secret(f"{unmade.app}-more", "default")
    assert base64.b64decode(secret.data["password"]) == b"second"
    assert [place for place, text in _everything_in_redis(unmade).items() if "second" in text] == []


@pytest.mark.slow
def test_a_long_diff_is_cut_in_the_message_and_whole_in_a_file(
    unmade: Journey,
) -> None:
    _edit(unmade, env=[{"name": f"VARIABLE_{number}", "value": "x"} for number in range(90)])
    unmade.say("/apply {app}")
    told = unmade.sees(r"Apply the manifests of {app}\?")
    assert re.search(r"and \d+ more lines: all of it is in your direct messages", told)
    file = unmade.file_of(DEVELOPER, f"apply-{unmade.app}.txt")
    assert "VARIABLE_89" in file and "VARIABLE_89" not in told
    assert f"create: Service default/{unmade.app}" in file


@pytest.mark.slow
def test_cluster_scoped_objects_are_applied_where_the_bot_may_write_them(
    unmade: Journey,
) -> None:
    """On the real control plane the bot has the chart's service account, which by default may write
    no cluster-scoped kind."""
    objects = list(yaml.safe_load_all(_manifest(unmade).read_text(encoding="utf-8")))
    objects.append(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": f"{unmade.app}-previews", "labels": {"team": "shop"}},
        }
    )
    _manifest(unmade).write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    unmade.say("/apply {app}")
    told = unmade.sees(r"Namespace {app}-previews")
    if "may not" in told:
        assert "rbac.extraClusterRules" in told and not unmade.exists(unmade.app)
        return
    assert "Only an admin may apply what reaches beyond" in told and not unmade.exists(unmade.app)
    unmade.say("/apply {app}", user=ADMIN)
    unmade.sees(r"create: Namespace {app}-previews", user=ADMIN)
    unmade.click("Apply", user=ADMIN)
    unmade.sees(r"{app} applied by admin:")
    assert unmade.core.read_namespace(f"{unmade.app}-previews").metadata.labels["team"] == "shop"


@pytest.mark.slow
def test_a_field_owned_by_someone_else_stops_the_apply(unmade: Journey) -> None:
    _make(unmade)
    body = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": unmade.app},
        "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]},
    }  # fmt: skip
    unmade.core.patch_namespaced_service(
        unmade.app,
        "default",
        body,
        field_manager="somebody",
        force=True,
        _content_type="application/apply-patch+yaml",
    )
    before = len(unmade.writes())
    unmade.say("/apply {app}")
    told = unmade.sees(r"Another manager owns fields that the manifests of {app} set")
    assert "somebody" in told.partition("set:")[2]
    assert unmade.service().spec.ports[0].target_port == 8080
    assert len(unmade.writes()) == before


def test_secret_values_never_reach_a_message_a_log_or_redis(unmade: Journey) -> None:
    _make(unmade)
    objects = list(yaml.safe_load_all(_manifest(unmade).read_text(encoding="utf-8")))
    objects.append(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{unmade.app}-more"},
            "data": {"key": f"%{NOT_A_KEY}"},
        }
    )
    _manifest(unmade).write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    since = newest(unmade, DEVELOPER)
    unmade.say("/apply {app}")
    sees_privately(
        unmade, f"{unmade.app}-more|not valid|base64", DEVELOPER, since
    )  # refused: that is not base64
    forms = (NOT_A_KEY, base64.b64encode(NOT_A_KEY.encode()).decode())
    slack = unmade.sandbox.slack
    places = {
        f"messages of {user}": str(slack.messages(CHANNEL, user))
        for user in (DEVELOPER, MANAGER, VIEWER)
    }
    places |= {"the calls of the bot": str(slack.log())}
    places |= {
        part.name: part.log.read_text(encoding="utf-8", errors="replace")
        for part in unmade.sandbox.parts
    }
    places |= _everything_in_redis(unmade)
    assert len(places) > 20, "Redis holds the release's records at least"
    assert [place for place, text in places.items() for form in forms if form in text] == []


def _everything_in_redis(journey: Journey) -> dict[str, str]:
    store = redis.Redis.from_url(journey.sandbox.redis.url)
    found: dict[str, str] = {}
    for key in store.scan_iter():
        match store.type(key):
            case b"string":
                value: Any = store.get(key)
            case b"hash":
                value = store.hgetall(key)
            case b"list":
                value = store.lrange(key, 0, -1)
            case b"set":
                value = store.smembers(key)
            case b"zset":
                value = store.zrange(key, 0, -1)
            case _:
                value = store.xrange(key)
        found[f"redis {key.decode()}"] = repr(value)
    return found


@pytest.mark.slow
def test_only_the_requester_sees_the_preview_and_a_viewer_may_not_ask(
    unmade: Journey,
) -> None:
    assert "You need the deployer or admin role" in unmade.say("/apply {app}", user=VIEWER)
    unmade.say("/apply {app}")
    unmade.sees(r"Apply the manifests of {app}\?", user=DEVELOPER)
    assert not [m["text"] for m in unmade.messages(SECOND) if "Apply the manifests" in m["text"]]
    assert not unmade.exists(unmade.app)
