"""The JSON schema of the catalog and `pilothouse check` agree, and each key is described."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

import config
from config.catalog import CatalogMistakes, parse_catalog
from config.schema import catalog_schema, main
from sandbox.main import DEMO

EXAMPLE = Path(config.__file__).parent / "example" / "catalog.yaml"
CHART = Path(__file__).parents[3] / "helm" / "pilothouse"
ONE = "clusters: {a: {in_cluster: true}}\napps: {hello: {%s}}\n"
METRICS = (
    "clusters: {a: {in_cluster: true, prometheus: {url: 'http://p:9090'}}}\n"
    "apps: {hello: {judge: {%s}}}\n"
)
TWO = "clusters: {a: {in_cluster: true}, b: {kubeconfig: k}}\napps: {hello: {%s}}\n"
GOOD = {
    "the example": EXAMPLE.read_text(encoding="utf-8"),
    "the demo": (DEMO / "catalog.yaml").read_text(encoding="utf-8"),
    "the smallest": ONE % "",
    "no service": ONE % "service: null",
    "two services": ONE % "services: [a, b]",
    "no services": ONE % "services: []",
    "two clusters": TWO % "clusters: [a, b]",
    "clusters by labels": "clusters: {a: {in_cluster: true, labels: {region: eu}}}\n"
    "apps: {hello: {clusters: {region: eu}, overrides: {a: {namespace: x, scale: {max: 2}}}}}\n",
    "a cluster and null": TWO % "cluster: a, clusters: null",
    "a final hundred": ONE % "canary: {steps: [5, 100]}",
    "durations": ONE % "canary: {hold: 1H30m}, ready_within: 0, crash_loop: {for: 1.5s}",
    "reminders": ONE % "approvals: {remind: [15m, 1h]}",
    "one file": ONE % "files: {secrets: {tls: tls/}}",
    "a link": ONE % "links: {diff: 'https://git.example.com/{from}'}",
    "a probe": ONE % "probe: {status: 200-299, contains: ok, within: 500ms}, judge: {worse_by: 5%}",
    "metrics": METRICS % "preset: istio, latency: {slower_than: 250ms}, window: 5m",
    "own metrics": METRICS % "requests: a_total, errors: 'b_total{c=~\"5..\"}', window: hold",
    "one status": ONE % "probe: {status: 204}, judge: {false_alarms: 0.5%}",
    "a kubeconfig": "clusters: {a: {kubeconfig: k, context: c, in_cluster: false}}\napps: {b: {}}",
    "a token": ONE % "" + "api: {port: 3001, tokens: [{name: ci, file: t, apps: [hello]}]}",
    "everyone": ONE % "" + "access: {roles: {viewer: {everyone: false}, admin: {users: [U0A]}}}",
}
BAD = {
    "an unknown key": ONE % "stratgy: canary",
    "an unknown key below": ONE % "canary: {hodl: 2m}",
    "an unknown section": ONE % "" + "acess: {}",
    "no apps": "clusters: {a: {in_cluster: true}}",
    "empty apps": "clusters: {a: {in_cluster: true}}\napps: {}",
    "no clusters": "apps: {hello: {}}",
    "an app that is null": "clusters: {a: {in_cluster: true}}\napps: {hello: }",
    "an app's name": "clusters: {a: {in_cluster: true}}\napps: {Hello: {}}",
    "a long name": f"clusters: {{a: {{in_cluster: true}}}}\napps: {{{'h' * 51}: {{}}}}",
    "a cluster's name": "clusters: {A_B: {in_cluster: true}}\napps: {hello: {}}",
    "no way in": "clusters: {a: {}}\napps: {hello: {}}",
    "two ways in": "clusters: {a: {in_cluster: true, kubeconfig: k}}\napps: {hello: {}}",
    "a context alone": "clusters: {a: {in_cluster: true, context: c}}\napps: {hello: {}}",
    "an empty kubeconfig": "clusters: {a: {kubeconfig: ''}}\napps: {hello: {}}",
    "a strategy": ONE % "strategy: blue-green",
    "a number as text": ONE % "scale: {min: '1'}",
    "a negative number": ONE % "approvals: {promote: -1}",
    "no replicas at most": ONE % "scale: {max: 0}",
    "a text as a flag": ONE % "approvals: {requester_may_approve: 'yes'}",
    "a flag as a number": ONE % "approvals: {start: true}",
    "a duration without a unit": ONE % "canary: {hold: 2}",
    "a duration in words": ONE % "canary: {hold: two minutes}",
    "a duration with a gap": ONE % "canary: {hold: 2 m}",
    "a channel's name": ONE % "channel: releases",
    "a member as a group": ONE % "" + "access: {roles: {admin: {groups: [U0A]}}}",
    "an image with a tag": ONE % "images: [hello:1.0]",
    "a Deployment's name": ONE % "deployment: Hello",
    "a share of 0": ONE % "canary: {steps: [0, 50]}",
    "a share above 100": ONE % "canary: {steps: [101]}",
    "100 alone": ONE % "canary: {steps: [100]}",
    "no shares": ONE % "canary: {steps: []}",
    "a mapping as a number": ONE % "canary: 3",
    "both services": ONE % "service: a, services: [b]",
    "both clusters": TWO % "cluster: a, clusters: [b]",
    "no clusters of an app": TWO % "clusters: []",
    "a cluster twice": TWO % "clusters: [a, a]",
    "clusters as a text": TWO % "clusters: a",
    "a probe's path": ONE % "probe: {path: version}",
    "a status in words": ONE % "probe: {status: fine}",
    "a status out of range": ONE % "probe: {status: 99}",
    "a part without a percent sign": ONE % "probe: {}, judge: {worse_by: 1}",
    "what follows a bad green": ONE % "bluegreen: {judge: maybe}",
    "too many requests": ONE % "probe: {requests: 201}",
    "a Secret of a number": ONE % "files: {secrets: {tls: 3}}",
    "a Secret's name": ONE % "files: {secrets: {TLS: tls/}}",
    "a link's name": ONE % "links: {' diff': 'https://git.example.com'}",
    "nine links": ONE % f"links: {{{', '.join(f'l{n}: https://a' for n in range(9))}}}",
    "an unknown preset": METRICS % "preset: nginx",
    "a label with a dash": METRICS % "preset: istio, pod_label: pod-name",
    "a Prometheus that is no URL": METRICS.replace("http://p", "p") % "preset: istio",
    "a token without apps": ONE % "" + "api: {tokens: [{name: ci, file: t, apps: []}]}",
    "a token that may all": ONE % ""
    + "api: {tokens: [{name: ci, file: t, apps: [hello], may: all}]}",
    "a token that expires in a year": ONE % ""
    + "api: {tokens: [{name: ci, file: t, apps: [hello], expires: 2027}]}",
    "a port out of range": ONE % "" + "api: {port: 70000}",
    "a list": "- a",
}
ONLY_CHECK_KNOWS = {
    "steps that fall": ONE % "canary: {steps: [50, 20]}",
    "min above max": ONE % "scale: {min: 5, max: 2}",
    "a window that is too short": ONE % "bluegreen: {rollback_window: 5s}",
    "a question that hardly stands": ONE % "approvals: {expires: 1ms}",
    "reminders that fall": ONE % "approvals: {remind: [1h, 15m]}",
    "a cluster that is not there": ONE % "cluster: b",
    "a cluster that is not named": TWO % "",
    "a placeholder of a link": ONE % "links: {diff: 'https://git.example.com/{tag}'}",
    "statuses that fall": ONE % "probe: {status: 399-200}",
    "a slow answer": ONE % "probe: {within: 5s}",
    "a worsening of nothing": ONE % "probe: {}, judge: {worse_by: 0%}",
    "a selector without its end": METRICS % "requests: 'a_total{', errors: b_total",
    "a Prometheus that is not there": ONE % "judge: {preset: istio}",
    "nothing to judge by": ONE % "judge: {}",
    "a token of an app that is not there": ONE % ""
    + "api: {tokens: [{name: ci, file: t, apps: [auth]}]}",
    "two tokens of one name": ONE % ""
    + "api: {tokens: [{name: a, file: t, apps: [hello]}, {name: a, file: u, apps: [hello]}]}",
    "a duration of centuries": ONE % "canary: {hold: 99999d}",
}


@functools.cache
def _catalog() -> Draft7Validator:
    return Draft7Validator(catalog_schema())


@functools.cache
def _values() -> Draft7Validator:
    """The chart's."""
    return Draft7Validator(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")))


def fits_schema(text: str) -> bool:
    return bool(_catalog().is_valid(yaml.safe_load(text)))


def passes_check(text: str) -> bool:
    try:
        parse_catalog(text)
    except CatalogMistakes:
        return False
    return True


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(catalog_schema())


@pytest.mark.parametrize("name", GOOD)
def test_schema_and_check_accept_a_good_catalog(name: str) -> None:
    assert (passes_check(GOOD[name]), fits_schema(GOOD[name])) == (True, True)


@pytest.mark.parametrize("name", BAD)
def test_schema_and_check_refuse_a_bad_catalog(name: str) -> None:
    assert (passes_check(BAD[name]), fits_schema(BAD[name])) == (False, False)


@pytest.mark.parametrize("name", ONLY_CHECK_KNOWS)
def test_what_a_schema_cannot_say_is_left_to_check(name: str) -> None:
    text = ONLY_CHECK_KNOWS[name]
    assert (passes_check(text), fits_schema(text)) == (False, True)


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_the_chart_holds_the_same_schema(name: str) -> None:
    text = {**GOOD, **BAD}[name]
    values = {"catalog": yaml.safe_load(text)}
    assert _values().is_valid(values) is fits_schema(text)


def test_the_values_may_leave_the_catalog_to_a_config_map() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert defaults["catalog"] == {}
    _values().validate(defaults)


def keys(part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        if "additionalProperties" in part:  # an entry, not a condition on one
            yield from part.get("properties", {}).items()
        for inner in part.values():
            yield from keys(inner)


def test_each_key_is_described_in_the_words_of_the_catalog() -> None:
    schema = catalog_schema()
    every = list(keys(schema))
    assert len(every) > 60
    bare = [
        name
        for name, key in every
        if "description" not in key and "$ref" not in key and "$ref" not in str(key.get("anyOf"))
    ]
    assert bare == []
    assert not [name for name, _ in every if name.endswith("_ms")]
    assert schema["$defs"]["CanaryEntry"]["properties"]["hold"]["default"] == "2m"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("$schema") == "http://json-schema.org/draft-07/schema#"
    assert printed == catalog_schema()
