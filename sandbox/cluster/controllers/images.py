"""The behaviour of a started pod, by its image. Pure: used by the kubelet."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field, replace
from typing import Any

from sandbox.cluster.objects import Json

KINDS = (
    "ready",
    "missing",
    "denied",
    "crash",
    "oom",
    "unready",
    "slow",
    "flapping",
    "config-error",
    "invalid-name",
    "crash-later",
    "sick",
    "failing",
)


class ImageRuleError(ValueError):
    """An invalid rule; the message is one clear line."""


@dataclass(frozen=True)
class ImageBehaviour:
    """`share` is the part of pods with this behaviour; the others are ready. Times in seconds; None
    means the cluster's default."""

    kind: str = "ready"
    ready_after: float | None = None
    share: float = 1.0
    exit_code: int = 1
    period: float = 1.0  # flapping: half a wave; crash-later: time until the first crash
    logs: tuple[str, ...] = ()
    version: str = ""  # what /version answers; default: the tag
    errors: float = 0.0  # failing: the part of requests that get a 503
    answers_after: float = 0.0  # failing: seconds until a request is answered

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ImageRuleError(
                f"unknown image behaviour {self.kind!r}; known are {', '.join(KINDS)}"
            )


READY = ImageBehaviour()

# By words in the tag, so that a demonstration needs no configuration.
_BY_TAG: tuple[tuple[str, ImageBehaviour], ...] = (
    ("missing", ImageBehaviour("missing")),
    ("denied", ImageBehaviour("denied")),
    (
        "crash",
        ImageBehaviour(
            "crash", logs=("starting", "panic: cannot connect to the database", "exit status 1")
        ),
    ),
    ("oom", ImageBehaviour("oom", exit_code=137)),
    ("unready", ImageBehaviour("unready")),
    ("sick", ImageBehaviour("sick")),  # ready, but every request fails
    *(
        (f"fails-{percent}", ImageBehaviour("failing", errors=percent / 100))
        for percent in (2, 5, 20, 100)
    ),
    ("late", ImageBehaviour("failing", answers_after=1.5)),
    ("flapping", ImageBehaviour("flapping")),
    ("config-error", ImageBehaviour("config-error")),
    ("slow", ImageBehaviour("slow", ready_after=10.0)),
    ("some-fail", ImageBehaviour("crash", share=0.5)),
)


@dataclass
class ImageRules:
    """The latest rule whose pattern matches wins; then, unless `known` is set, words in the tag;
    then ready."""

    rules: list[tuple[str, ImageBehaviour]] = field(default_factory=list)
    known: list[str] | None = (
        None  # patterns of images that exist; None: all images without a rule against it
    )

    def add(self, pattern: str, behaviour: ImageBehaviour) -> None:
        self.rules.append((pattern, behaviour))

    def remove(self, pattern: str) -> None:
        self.rules = [rule for rule in self.rules if rule[0] != pattern]

    def of(self, image: str) -> ImageBehaviour:
        if not is_valid_reference(image):
            return ImageBehaviour("invalid-name")
        for pattern, behaviour in reversed(self.rules):
            if fnmatch.fnmatchcase(image, pattern):
                return behaviour
        if self.known is not None and not any(
            fnmatch.fnmatchcase(image, pattern) for pattern in self.known
        ):
            return ImageBehaviour("missing")
        tag = tag_of(image)
        for word, behaviour in _BY_TAG:
            if re.search(rf"(^|[-._]){word}($|[-._])", tag):
                return behaviour
        return READY


def is_valid_reference(image: str) -> bool:
    """The reference grammar of container images: lower-case repository, optional tag and digest."""
    part = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
    name = rf"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?{part}(?:/{part})*"
    return (
        re.fullmatch(rf"{name}(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?", image)
        is not None
    )


def tag_of(image: str) -> str:
    """The tag; `latest` with neither tag nor digest; otherwise the start of the digest."""
    base, _, digest = image.partition("@")
    tag = base.rpartition("/")[2].partition(":")[2]
    return tag or (digest[7:19] if digest else "latest")


def full_reference(image: str) -> str:
    """The name in containerd's form: docker.io/library/nginx:1.9.14."""
    first, slash, _ = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif "." not in first and ":" not in first and first != "localhost":
        image = f"docker.io/{image}"
    if "@" not in image and ":" not in image.rpartition("/")[2]:
        image += ":latest"
    return image


def parse_behaviour(body: Json | str) -> ImageBehaviour:
    """A behaviour from JSON: a kind, or an object of ImageBehaviour's fields."""
    if isinstance(body, str):
        return ImageBehaviour(body)
    unknown = set(body) - set(ImageBehaviour.__dataclass_fields__)
    if unknown:
        raise ImageRuleError(f"unknown key {min(unknown)!r} of an image behaviour")
    values: dict[str, Any] = dict(body)
    if "logs" in values:
        values["logs"] = tuple(values["logs"])
    return replace(READY, **values)


def pull_failure(behaviour: ImageBehaviour, image: str) -> tuple[str, str]:
    """(message of ErrImagePull and of the event, short cause) as kubelet and containerd
    write them."""
    reference = full_reference(image)
    repository = reference.partition("@")[0].rpartition(":")[0]
    if behaviour.kind == "denied":
        cause = (
            f'failed to pull and unpack image "{reference}": failed to resolve reference'
            f' "{reference}": pull access denied, repository does not exist or may require'
            " authorization: server message: insufficient_scope: authorization failed"
        )
        return f"rpc error: code = Unknown desc = {cause}", repository
    cause = (
        f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}":'
        f" {reference}: not found"
    )
    return f"rpc error: code = NotFound desc = {cause}", repository
