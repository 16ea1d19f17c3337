"""PromQL selectors of the catalog: a metric's name and matchers of its labels, nothing else.

``read_counter`` and ``read_buckets`` raise ValueError with one line for the catalog's author.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Operator = Literal["=", "!=", "=~", "!~"]
ReadMatcher = tuple[str, Operator, str]
MOST_CHARACTERS = 1_000
OPERATORS: tuple[Operator, ...] = ("=~", "!~", "!=", "=")
COUNTERS = ("_total", "_count")
BUCKETS = "_bucket"
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'|`([^`]*)`')
_ESCAPED = re.compile(r"\\(.)")
_OF_INGRESSES = re.compile(
    r"(nginx_ingress_controller|traefik|haproxy|contour|kong|ambassador|envoy_(cluster|vhost))_"
)
_AFTER_A_GROUP = re.compile(r"\)[*+{?]")
_REPEATED = re.compile(r"[*+{]")
_MOST_REPEATED = 2  # it is matched here too, label by label
_OF_PROMETHEUS = ("__name__", "le")


@dataclass(frozen=True)
class ReadSelector:
    """``matchers``: label, operator, value."""

    metric: str
    matchers: tuple[ReadMatcher, ...]


def read_counter(text: str) -> ReadSelector:
    """
    >>> read_counter('http_requests_total{namespace="shop", code=~"5.."}').matchers
    (('namespace', '=', 'shop'), ('code', '=~', '5..'))
    """
    found = read_selector(text)
    if not found.metric.endswith(COUNTERS):
        raise ValueError(
            f"`{found.metric}` is no counter: its name ends with {' or '.join(COUNTERS)}"
        )
    return found


def read_buckets(text: str) -> ReadSelector:
    """
    >>> read_buckets("http_request_duration_seconds_bucket").metric
    'http_request_duration_seconds_bucket'
    """
    found = read_selector(text)
    if not found.metric.endswith(BUCKETS):
        raise ValueError(
            f"`{found.metric}` is no histogram's buckets: write `{_base(found.metric)}{BUCKETS}`"
        )
    return found


def _base(metric: str) -> str:
    return re.sub(r"_(sum|count|total)$", "", metric)


def read_selector(text: str) -> ReadSelector:
    text = text.strip()
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"a selector has at most {MOST_CHARACTERS:,} characters")
    name = _NAME.match(text)
    if name is None:
        raise ValueError(f"`{_shown(text)}` does not begin with a metric's name")
    metric, rest = name[0], text[name.end() :].strip()
    if _OF_INGRESSES.match(metric):
        raise ValueError(
            f"`{metric}` is an ingress controller's, which counts per Service and not per pod:"
            " it cannot tell two versions apart"
        )
    if rest.startswith("("):
        raise ValueError(f"`{metric}(…)` is a function: name the counter itself")
    if not rest:
        return ReadSelector(metric, ())
    if not rest.startswith("{"):
        raise ValueError(
            f'`{_shown(rest)}` after `{metric}`: labels are in braces, as in {{a="b"}}'
        )
    matchers, after = _matchers(rest[1:])
    if after.startswith("["):
        raise ValueError(f"`{_shown(after)}` is a range: the window is a hold's, leave it out")
    if after:
        raise ValueError(f"`{_shown(after)}` after the braces: a selector ends there")
    return ReadSelector(metric, matchers)


def _matchers(text: str) -> tuple[tuple[ReadMatcher, ...], str]:
    """(the matchers, what follows the closing brace)."""
    found: list[ReadMatcher] = []
    rest = text.strip()
    while not rest.startswith("}"):
        matcher, rest = _matcher(rest)
        found.append(matcher)
        if rest.startswith(","):
            rest = rest[1:].strip()
        elif rest and not rest.startswith("}"):
            raise ValueError(f"a comma is missing before `{_shown(rest)}`")
        if not rest:
            raise ValueError("the closing brace } is missing")
    return tuple(found), rest[1:].strip()


def _matcher(text: str) -> tuple[ReadMatcher, str]:
    name = _LABEL.match(text)
    if name is None:
        raise ValueError(
            f"`{_shown(text)}` does not begin with a label" if text else "the brace } is missing"
        )
    label, rest = name[0], text[name.end() :].strip()
    if label in _OF_PROMETHEUS:
        raise ValueError(f"`{label}` is not for a selector: Pilothouse asks for it itself")
    operator = next((one for one in OPERATORS if rest.startswith(one)), None)
    if operator is None:
        raise ValueError(f"after the label `{label}` one of = != =~ !~ is missing")
    rest = rest[len(operator) :].strip()
    quoted = _QUOTED.match(rest)
    if quoted is None:
        raise ValueError(f"the value of `{label}` is not in quotes, or they do not end")
    plain = next((one for one in quoted.groups() if one is not None), "")
    value = plain if quoted[0].startswith("`") else _ESCAPED.sub(_unescaped, plain)
    if operator in ("=~", "!~"):
        _check_pattern(label, value)
    return (label, operator, value), rest[quoted.end() :].strip()


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(found[1], found[1])


def _check_pattern(label: str, value: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"the pattern of `{label}` is wrong: {error}") from error
    if _AFTER_A_GROUP.search(value) or len(_REPEATED.findall(value)) > _MOST_REPEATED:
        raise ValueError(
            f"the pattern of `{label}` may take too long: repeat no group, and at most"
            f" {_MOST_REPEATED} characters"
        )


def _shown(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:29]}…"


def in_unit_of(metric: str, milliseconds: int) -> float:
    """A bound in the histogram's own unit, which its name holds; seconds where it does not.

    >>> in_unit_of("http_request_duration_seconds_bucket", 500)
    0.5
    >>> in_unit_of("istio_request_duration_milliseconds_bucket", 500)
    500.0
    """
    is_ms = re.search(r"_(milliseconds|millis|ms)_bucket$", metric) is not None
    return float(milliseconds) if is_ms else milliseconds / 1000


@dataclass(frozen=True)
class Preset:
    requests: str
    errors: str
    histogram: str


def preset(name: str, namespace: str) -> Preset:
    """What is counted where a mesh or a usual library counts."""
    match name:
        case "istio":
            of = f'{{reporter="destination",destination_workload_namespace="{namespace}"'
            return Preset(
                f"istio_requests_total{of}}}",
                f'istio_requests_total{of},response_code=~"5.."}}',
                f"istio_request_duration_milliseconds_bucket{of}}}",
            )
        case "linkerd":
            of = f'{{direction="inbound",namespace="{namespace}"'
            return Preset(
                f"response_total{of}}}",
                f'response_total{of},classification="failure"}}',
                f"response_latency_ms_bucket{of}}}",
            )
        case "opentelemetry":
            return Preset(
                "http_server_request_duration_seconds_count",
                'http_server_request_duration_seconds_count{http_response_status_code=~"5.."}',
                "http_server_request_duration_seconds_bucket",
            )
        case _:
            of = f'{{namespace="{namespace}"'
            return Preset(
                f"http_requests_total{of}}}",
                f'http_requests_total{of},code=~"5.."}}',
                f"http_request_duration_seconds_bucket{of}}}",
            )
