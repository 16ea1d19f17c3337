"""The kinds of values that a catalog holds, and what each is called in a mistake."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    Tag,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from config.durations import PATTERN, parse_duration

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_REPOSITORY = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")


def read_duration(value: object) -> int:
    if isinstance(value, str):
        return parse_duration(value)
    if value == 0 and not isinstance(value, bool):
        return 0
    raise ValueError(
        f"`{value}` is not a duration: write a number and a unit, such as 90s, 2m or 1h30m"
    )


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


@dataclass(frozen=True)
class Matching:
    """A text that the whole pattern matches: for pydantic, and as `pattern` in the schema."""

    pattern: re.Pattern[str]
    what: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern.pattern})$"}

    def _checked(self, value: str) -> str:
        if not self.pattern.fullmatch(value):
            raise ValueError(f"`{value}` is not {self.what}")
        return value


def _rising(steps: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 0 < share <= 100 for share in steps):
        raise ValueError("each step must be a percentage of traffic from 1 to 100")
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ValueError("steps must rise: each share is larger than the one before")
    shares = (
        steps[:-1] if steps and steps[-1] == 100 else steps
    )  # a final 100 may be written; it is implied
    if not shares:
        raise ValueError(
            "at least one share below 100 is needed; to release without one, use strategy: rolling"
        )
    return shares


def _each_once(clusters: tuple[str, ...]) -> tuple[str, ...]:
    doubled = next((one for one in clusters if clusters.count(one) > 1), None)
    if doubled is not None:
        raise ValueError(f"`{doubled}` is named twice")
    if not clusters:
        raise ValueError("at least one cluster is needed")
    return clusters


def _some_labels(labels: dict[str, str]) -> dict[str, str]:
    if not labels:
        raise ValueError("at least one label is needed, such as {region: eu}")
    return labels


def _no_strategy_twice(strategies: tuple[str, ...]) -> tuple[str, ...]:
    doubled = next((one for one in strategies if strategies.count(one) > 1), None)
    if doubled is not None:
        raise ValueError(f"`{doubled}` is named twice")
    return strategies


# What the schema says where a function decides. What it cannot say (steps rise, a name is known) is
# `pilothouse check`'s alone; tests/unit/config/test_schema.py lists it.
_DURATION_SCHEMA = WithJsonSchema({"anyOf": [{"type": "string", "pattern": PATTERN}, {"const": 0}]})
_SHARES_SCHEMA = WithJsonSchema(
    {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": 100},
        "contains": {"maximum": 99},
    }
)
_PATHS_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)
_CLUSTERS_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
            {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
        ]
    }
)
Duration = Annotated[int, BeforeValidator(read_duration), _DURATION_SCHEMA]
Label = Annotated[
    str, Matching(_DNS_LABEL, "a Kubernetes name (lower-case letters, digits and -, at most 63)")
]
ObjectName = Annotated[
    str, Matching(_DNS_SUBDOMAIN, "a Kubernetes name (lower-case letters, digits, - and .)")
]
LabelKey = Annotated[str, Matching(_LABEL_KEY, "a label key such as `version`")]
LabelValue = Annotated[str, Matching(_LABEL_VALUE, "a label's value such as `eu`")]
Repository = Annotated[
    str,
    Matching(
        _REPOSITORY,
        "an image repository without tag or digest, such as registry.example.com/team/app",
    ),
]
AppName = Annotated[
    str,
    Matching(
        re.compile(r"[a-z0-9]([-a-z0-9.]{0,48}[a-z0-9])?"),
        "an app's name (lower-case letters, digits, - and ., at most 50)",
    ),
]
Channel = Annotated[
    str,
    Matching(
        re.compile(r"[CGD][A-Z0-9]{2,}"),
        "a channel ID (C…): copy it from the channel's details in Slack",
    ),
]
UserId = Annotated[
    str,
    Matching(
        re.compile(r"[UW][A-Z0-9]{2,}"),
        "a member ID (U…): copy it from the person's profile in Slack",
    ),
]
GroupId = Annotated[str, Matching(re.compile(r"S[A-Z0-9]{2,}"), "a user group ID (S…)")]
FailurePlace = Annotated[
    str, Matching(re.compile(r"starter|[CGD][A-Z0-9]{2,}"), "`starter` or a channel ID (C…)")
]
Mentioned = Annotated[
    str,
    Matching(re.compile(r"[UWS][A-Z0-9]{2,}"), "a member ID (U…) or a user group ID (S…)"),
]
Channels = Annotated[tuple[Channel, ...], Strict(False)]
Names = Annotated[tuple[ObjectName, ...], Strict(False)]
Paths = Annotated[tuple[str, ...], Strict(False)]
SourcePaths = Annotated[
    tuple[str, ...], Strict(False), BeforeValidator(_one_or_many), _PATHS_SCHEMA
]
Repositories = Annotated[tuple[Repository, ...], Strict(False)]
Shares = Annotated[tuple[int, ...], Strict(False), AfterValidator(_rising), _SHARES_SCHEMA]
NamedClusters = Annotated[tuple[str, ...], Strict(False), AfterValidator(_each_once)]
ClusterLabels = Annotated[dict[LabelKey, LabelValue], AfterValidator(_some_labels)]
Clusters = Annotated[
    Annotated[NamedClusters, Tag("names")] | Annotated[ClusterLabels, Tag("labels")],
    Discriminator(lambda value: "labels" if isinstance(value, dict) else "names"),
    _CLUSTERS_SCHEMA,
]
"""Their names, or the labels that each of them has."""
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
_STRATEGIES_SCHEMA = WithJsonSchema(
    {
        "type": "array",
        "items": {"type": "string", "enum": ["rolling", "canary", "bluegreen"]},
        "uniqueItems": True,
    }
)
StrategyName = Literal["rolling", "canary", "bluegreen"]
Strategies = Annotated[
    tuple[StrategyName, ...], Strict(False), AfterValidator(_no_strategy_twice), _STRATEGIES_SCHEMA
]


def valid(kind: Any, value: str) -> str:
    """``value``, as one of the types above takes it. Raises ValueError with the catalog's words."""
    try:
        return str(TypeAdapter(kind).validate_python(value))
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


class Entry(BaseModel):
    """The text below each key is its description in the schema (config/schema.py)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=False)
