"""Why one container does not run: what the kubelet says about it, without the image's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.releases.facts.causes import FailureClass
from bot.releases.facts.images import normal_repository, split_image
from bot.releases.facts.observation import ContainerSeen, PodSeen
from bot.releases.facts.rules import Rules

START_PATIENCE_MS = 120_000
"""How long a registry, a volume or a runtime may fail before it counts against the version."""

_NOT_IN_REGISTRY = re.compile(
    r"not found|manifest unknown|denied|unauthorized|does not exist|no such image", re.IGNORECASE
)
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable"})
_CREATE = frozenset({"CreateContainerError", "RunContainerError", "ImageInspectError"})
_NEVER_STARTED = frozenset({"StartError", "ContainerCannotRun"})
_BAD_COMMAND = re.compile(
    r"exec:? .*?(no such file or directory|executable file not found|permission denied"
    r"|is a directory|not a directory|exec format error)|no command specified",
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"[^"]*"')
_URL = re.compile(r"\b\w+://\S+")
_BACK_OFF_MS = (0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000)
"""The kubelet's wait before each restart (kubelet.go: MaxCrashLoopBackOff, initial 10 s)."""


@dataclass(frozen=True)
class PodFailure:
    failure: FailureClass
    pod: str  # "" where no pod could be made
    what: str  # "ImagePullBackOff", "CrashLoopBackOff", "OOMKilled", "Unschedulable"…
    detail: str
    ripe_at: int  # from when on it counts, in milliseconds
    plain: str = ""  # the same in plain words, where Kubernetes' own are long


def without_references(message: str, image: str) -> str:
    """The message without quotations, addresses and the image: a name must not read as a reason.

    >>> without_references("docker.io/a/denied-page:1: connection refused", "a/denied-page:1")
    ': connection refused'
    """
    text = _URL.sub("", _QUOTED.sub("", message))
    repository = normal_repository(split_image(image).repository)
    name = re.escape(repository)
    end = r"[:@][\w.:-]*\w" if "/" not in repository else r"(?:[:@][\w.:-]*\w)?"
    return re.sub(rf"(?<![\w/.-])(?:[\w.:-]+/)*{name}{end}(?![\w/-])", "", text)


def container_failure(pod: PodSeen, container: ContainerSeen, rules: Rules) -> PodFailure | None:
    """None while the container may still become ready."""
    for judge in (_image_failure, _config_failure, _start_failure):
        failure = judge(pod, container)
        if failure is not None:
            return failure
    return _crash(pod, container, rules)


def patient_until(pod: PodSeen) -> int:
    """A pod waits for a node before anything can be pulled or mounted: that time is not counted."""
    return (pod.accepted_at or pod.created_at) + START_PATIENCE_MS


def _image_failure(pod: PodSeen, container: ContainerSeen) -> PodFailure | None:
    waiting, message, image = container.waiting, container.message, container.image
    permanent = FailureClass.PERMANENT
    if waiting == "InvalidImageName":
        words = f"{image} is not a valid image name"
        return PodFailure(permanent, pod.name, waiting, message or image, 0, words)
    if waiting == "SignatureValidationFailed":
        words = f"the signature of image {image} is not accepted: {_reason(message)}"
        return PodFailure(permanent, pod.name, waiting, message or image, 0, words)
    if waiting not in _PULL:
        return None
    words = f"image {image} cannot be pulled: {_reason(message)}"
    gone = _NOT_IN_REGISTRY.search(without_references(message, image))
    if gone or waiting == "ErrImageNeverPull":
        return PodFailure(permanent, pod.name, waiting, message or image, 0, words)
    ripe_at = patient_until(pod)
    return PodFailure(FailureClass.PERSISTENT, pod.name, waiting, message, ripe_at, words)


def _reason(message: str) -> str:
    """Kubelet's message is a chain of "failed to …:" that ends in the reason."""
    return (message.rstrip(". ").rpartition(": ")[2] or "no reason given")[:120]


def _config_failure(pod: PodSeen, container: ContainerSeen) -> PodFailure | None:
    if container.waiting != "CreateContainerConfigError" or is_late_cache(container.message):
        return None
    return PodFailure(FailureClass.PERMANENT, pod.name, container.waiting, container.message, 0)


def is_late_cache(message: str) -> bool:
    """The kubelet has not received the Secret or ConfigMap yet: nothing is known about it."""
    return ("failed to sync" in message and "cache" in message) or "not registered" in message


def _start_failure(pod: PodSeen, container: ContainerSeen) -> PodFailure | None:
    """A runtime that cannot create or start it; at once where its command does not exist."""
    if container.ready or container.running_since:
        return None
    never_started = container.last_terminated in _NEVER_STARTED
    waiting = container.waiting if container.waiting in _CREATE else ""
    if not waiting and not never_started:
        return None
    message = container.message if waiting else container.ended_message
    what = waiting or container.last_terminated
    found = _BAD_COMMAND.search(message)
    if found:
        words = f"{container.name} cannot start: {message[found.start() :][:200]}"
        return PodFailure(FailureClass.PERMANENT, pod.name, what, message, 0, words)
    words = f"{container.name} cannot start: {_reason(message)}"
    return PodFailure(FailureClass.PERSISTENT, pod.name, what, message, patient_until(pod), words)


def _crash(pod: PodSeen, container: ContainerSeen, rules: Rules) -> PodFailure | None:
    if container.restarts < rules.crash_loop_restarts or not keeps_ending(container):
        return None
    is_oom = container.last_terminated == "OOMKilled"
    what = "OOMKilled" if is_oom else container.waiting or "CrashLoopBackOff"
    detail = f"{container.name} restarted {container.restarts} times, {_how_it_ended(container)}"
    killed = "" if is_oom else _killed_by(pod.warnings)
    if killed:
        detail = f"{container.name} restarted {container.restarts} times, {killed}"
    ripe_at = crash_counts_at(pod, container, rules)
    return PodFailure(FailureClass.PERSISTENT, pod.name, what, detail, ripe_at)


def crash_counts_at(pod: PodSeen, container: ContainerSeen, rules: Rules) -> int:
    """From when on its restarts count against the version, once there are enough."""
    return _first_start(pod, container) + rules.crash_loop_for_ms


def keeps_ending(container: ContainerSeen) -> bool:
    """Ended, and not well since."""
    if container.waiting in ("CrashLoopBackOff", "PostStartHookError"):
        return True
    harmless = ("", "Completed") if container.init else ("",)
    return container.last_terminated not in harmless and not container.ready


def _how_it_ended(container: ContainerSeen) -> str:
    if container.exit_code is None:
        return f"last ended with {container.last_terminated or 'an error'}"
    return f"last ended with exit code {container.exit_code}"


def _killed_by(warnings: Sequence[tuple[str, str]]) -> str:
    """The kubelet's own reason to stop a container, which its exit code does not tell."""
    for reason, message in warnings:
        if reason == "FailedPostStartHook":
            return "stopped because its postStart hook failed"
        for probe in ("Liveness", "Startup"):
            if message.startswith(f"{probe} probe failed"):
                return f"stopped by its {probe.lower()} probe: {message.partition(': ')[2][:200]}"
    return ""


def _first_start(pod: PodSeen, container: ContainerSeen) -> int:
    """At the latest, in milliseconds: the newest start, less what the kubelet waited before it."""
    if not container.last_started_at:
        return pod.accepted_at or pod.created_at
    waited = _BACK_OFF_MS[: container.restarts]
    longest = max(0, container.restarts - len(_BACK_OFF_MS)) * _BACK_OFF_MS[-1]
    return max(pod.created_at, container.last_started_at - sum(waited) - longest)
