"""The kubelets of all nodes: pods start, become ready, fail as their image demands, and end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.cluster.api_server.callers import KUBELET, DeleteOptions
from sandbox.cluster.api_server.resources import CONFIG_MAPS, NODES, PODS, SECRETS
from sandbox.cluster.controllers import pod_status
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.controllers.images import ImageBehaviour, ImageRules, pull_failure, tag_of
from sandbox.cluster.objects import Json, copy_json, is_terminating, name_of, namespace_of, uid_of

_COMPONENT = "kubelet"
READY_KINDS = frozenset({"ready", "sick", "failing"})
"""They differ in what the app answers: a change from one to another is none to a kubelet."""


@dataclass
class Timings:
    """Seconds. A pod is ready `ready_after` ± `jitter` after it was scheduled; stopping takes
    `stop_after`."""

    ready_after: float = 0.3
    jitter: float = 0.0
    stop_after: float = 0.1
    back_off: float = 10.0  # before the second restart of a container; doubles, to five minutes
    crash_after: float = 0.1


@dataclass
class _Life:
    """The kubelet's memory of one pod."""

    uid: str
    behaviour: ImageBehaviour
    step: int = 0
    restarts: int = 0
    crashes: bool = False
    logs: list[str] = field(default_factory=list)
    previous_logs: list[str] = field(default_factory=list)


class Kubelet:
    """Each transition in a pod's life is one item of the queue: ((namespace, name), uid)."""

    def __init__(self, view: ClusterView, images: ImageRules, timings: Timings) -> None:
        self._view = view
        self._images = images
        self.timings = timings
        self._lives: dict[str, _Life] = {}
        self._addresses = itertools.count(2)
        self._address_of: dict[str, str] = {}
        self._steps: dict[str, Callable[[Json, _Life], None]] = {
            "missing": self._fail_pull,
            "denied": self._fail_pull,
            "invalid-name": self._refuse_name,
            "config-error": self._refuse_config,
            "crash": self._crash,
            "oom": self._crash,
            "crash-later": self._run,
            "ready": self._run,
            "slow": self._run,
            "unready": self._run,
            "sick": self._run,
            "failing": self._run,
            "flapping": self._run,
        }
        view.queue.handle("kubelet", self.advance)
        view.queue.handle("kubelet-stop", self.stop)

    def pod_changed(self, pod: Json) -> None:
        """Called for every change of a pod that has a node."""
        if not pod["spec"].get("nodeName"):
            return
        key = ((namespace_of(pod), name_of(pod)), uid_of(pod))
        if is_terminating(pod):
            if (
                uid_of(pod) in self._lives
                or pod["metadata"].get("deletionGracePeriodSeconds", 0) >= 0
            ):
                grace = float(pod["metadata"].get("deletionGracePeriodSeconds", 30))
                self._view.queue.add_after("kubelet-stop", key, min(grace, self.timings.stop_after))
            return
        if uid_of(pod) not in self._lives:
            behaviour = self._behaviour_of(pod)
            self._lives[uid_of(pod)] = _Life(uid_of(pod), behaviour)
            self._view.queue.add("kubelet", key)

    def pod_gone(self, pod: Json) -> None:
        self._lives.pop(uid_of(pod), None)
        self._address_of.pop(uid_of(pod), None)

    def behaviours_changed(self) -> None:
        """Running pods adopt the new behaviour of their image."""
        for pod in self._view.store.list_all(PODS):
            life = self._lives.get(uid_of(pod))
            if life is None:
                continue
            behaviour = self._behaviour_of(pod)
            if behaviour == life.behaviour:
                continue
            is_only_in_answers = {behaviour.kind, life.behaviour.kind} <= READY_KINDS
            life.behaviour = behaviour
            if not is_only_in_answers:
                life.step = 0
                self._view.queue.add("kubelet", ((namespace_of(pod), name_of(pod)), uid_of(pod)))

    def logs_of(self, pod: Json, *, previous: bool) -> list[str]:
        life = self._lives.get(uid_of(pod))
        if life is None:
            return []
        return list(life.previous_logs if previous else life.logs)

    def _behaviour_of(self, pod: Json) -> ImageBehaviour:
        """The first container with a misbehaving image decides; `share` is drawn once per pod."""
        for container in pod["spec"].get("containers") or ():
            behaviour = self._images.of(container["image"])
            if behaviour.kind != "ready" or behaviour.ready_after is not None:
                if behaviour.share < 1 and self._view.chance.random() >= behaviour.share:
                    continue
                return behaviour
        return ImageBehaviour()

    def advance(self, key: tuple[tuple[str, str], str]) -> None:
        pod = self._view.store.get(PODS, *key[0])
        life = self._lives.get(key[1])
        if pod is None or life is None or uid_of(pod) != key[1] or is_terminating(pod):
            return
        if life.step == 0:
            self._begin(pod, life)
        else:
            self._steps[life.behaviour.kind](copy_json(pod), life)

    def _again(self, pod: Json, seconds: float) -> None:
        self._view.queue.add_after(
            "kubelet", ((namespace_of(pod), name_of(pod)), uid_of(pod)), seconds
        )

    def _write(self, pod: Json) -> None:
        names = [container["name"] for container in pod["spec"]["containers"]]
        pod_status.set_pod_conditions(pod["status"], names, self._view.now())
        self._view.registry.write_directly(PODS, pod, KUBELET, "patch")

    def _begin(self, pod: Json, life: _Life) -> None:
        """ContainerCreating; missing volumes and configuration block the pod."""
        changed: Json = copy_json(pod)
        status = changed["status"]
        status.setdefault("startTime", self._view.now())
        status["phase"] = "Pending"
        node = self._view.store.get(NODES, "", pod["spec"]["nodeName"])
        addresses = (node or {}).get("status", {}).get("addresses") or ()
        host = next(
            (item["address"] for item in addresses if item["type"] == "InternalIP"), "10.1.0.1"
        )
        status["hostIP"] = host
        status["hostIPs"] = [{"ip": host}]
        if not status.get("containerStatuses"):
            status["containerStatuses"] = [
                pod_status.container_status(
                    container,
                    {"waiting": {"reason": "ContainerCreating"}},
                    ready=False,
                    started=False,
                )
                for container in pod["spec"]["containers"]
            ]
        self._write(changed)
        missing = self._missing_volume(pod)
        if missing:
            message = f'MountVolume.SetUp failed for volume "{missing[0]}" : {missing[1]} not found'
            self._view.record(pod, "Warning", "FailedMount", message, _COMPONENT)
            self._again(pod, 0.5)
            return
        life.step = 1
        self._again(pod, self._ready_delay(life) * 0.4)

    def _ready_delay(self, life: _Life) -> float:
        base = life.behaviour.ready_after
        if base is None:
            base = self.timings.ready_after
        return max(0.0, base + self._view.chance.uniform(-self.timings.jitter, self.timings.jitter))

    def _missing_volume(self, pod: Json) -> tuple[str, str] | None:
        namespace = namespace_of(pod)
        for volume in pod["spec"].get("volumes") or ():
            secret = volume.get("secret") or {}
            if secret and not secret.get("optional"):
                name = secret.get("secretName", "")
                if self._view.store.get(SECRETS, namespace, name) is None:
                    return volume["name"], f'secret "{name}"'
            configuration = volume.get("configMap") or {}
            if configuration and not configuration.get("optional"):
                name = configuration.get("name", "")
                if self._view.store.get(CONFIG_MAPS, namespace, name) is None:
                    return volume["name"], f'configmap "{name}"'
        return None

    def _missing_configuration(self, pod: Json) -> str:
        """The text of CreateContainerConfigError for environment variables with a missing
        source."""
        namespace = namespace_of(pod)
        for container in pod["spec"]["containers"]:
            for variable in container.get("env") or ():
                source = variable.get("valueFrom") or {}
                for kind, resource, word in (
                    ("secretKeyRef", SECRETS, "secret"),
                    ("configMapKeyRef", CONFIG_MAPS, "configmap"),
                ):
                    reference = source.get(kind)
                    if not reference or reference.get("optional"):
                        continue
                    found = self._view.store.get(resource, namespace, reference["name"])
                    if found is None:
                        return f'{word} "{reference["name"]}" not found'
                    if reference["key"] not in (found.get("data") or {}):
                        shown = "Secret" if word == "secret" else "ConfigMap"
                        return (
                            f"couldn't find key {reference['key']} in {shown}"
                            f" {namespace}/{reference['name']}"
                        )
        return ""

    def _run(self, pod: Json, life: _Life) -> None:
        """Running, then ready; flapping and later crashes continue from there."""
        status = pod["status"]
        now = self._view.now()
        statuses = status["containerStatuses"]
        if life.step == 1:
            missing = self._missing_configuration(pod)
            if missing:
                self._wait_for_configuration(pod, missing)
                return
            self._note_pulled(pod)
            self._address(pod)
            for container, item in zip(pod["spec"]["containers"], statuses, strict=True):
                pod_status.set_running(item, now, ready=False)
                item["imageID"] = pod_status.image_id(container["image"])
                item["image"] = container["image"]
                item["containerID"] = pod_status.container_id(life.uid, item["name"], life.restarts)
            status["phase"] = "Running"
            life.step = 2
            self._start_logs(pod, life)
            self._write(pod)
            if life.behaviour.kind == "unready":
                message = "Readiness probe failed: HTTP probe failed with statuscode: 503"
                self._view.record(pod, "Warning", "Unhealthy", message, _COMPONENT)
                return
            self._again(pod, self._ready_delay(life) * 0.6)
            return
        ready = life.step % 2 == 0
        if life.behaviour.kind == "unready":
            ready = False
        for item in statuses:
            item["ready"] = ready
        self._write(pod)
        if not ready:
            message = "Readiness probe failed: HTTP probe failed with statuscode: 503"
            self._view.record(pod, "Warning", "Unhealthy", message, _COMPONENT)
        if life.behaviour.kind == "flapping":
            life.step += 1
            self._again(pod, life.behaviour.period)
        elif life.behaviour.kind == "crash-later" and life.step == 2:
            life.step = 3
            self._steps_to_crash(pod, life)

    def _steps_to_crash(self, pod: Json, life: _Life) -> None:
        life.behaviour = ImageBehaviour(
            "crash",
            life.behaviour.ready_after,
            1.0,
            life.behaviour.exit_code,
            life.behaviour.period,
            life.behaviour.logs,
        )
        life.step = 2
        self._again(pod, life.behaviour.period)

    def _start_logs(self, pod: Json, life: _Life) -> None:
        life.previous_logs, life.logs = life.logs, []
        image = pod["spec"]["containers"][0]["image"]
        life.logs += life.behaviour.logs or (
            f"starting {image}",
            f"version {tag_of(image)} listening",
        )

    def _note_pulled(self, pod: Json) -> None:
        for container in pod["spec"]["containers"]:
            path = f"spec.containers{{{container['name']}}}"
            message = f'Container image "{container["image"]}" already present on machine'
            self._view.record(pod, "Normal", "Pulled", message, _COMPONENT, path)
            self._view.record(
                pod,
                "Normal",
                "Created",
                f"Container created: {container['name']}",
                _COMPONENT,
                path,
            )
            self._view.record(pod, "Normal", "Started", "Container started", _COMPONENT, path)

    def _address(self, pod: Json) -> None:
        address = self._address_of.get(uid_of(pod))
        if address is None:
            number = next(self._addresses)
            address = f"10.0.{number // 250 % 250}.{number % 250 + 1}"
            self._address_of[uid_of(pod)] = address
        pod["status"]["podIP"] = address
        pod["status"]["podIPs"] = [{"ip": address}]

    def _fail_pull(self, pod: Json, life: _Life) -> None:
        """Alternates ErrImagePull and ImagePullBackOff; the delay doubles."""
        for container, item in zip(
            pod["spec"]["containers"], pod["status"]["containerStatuses"], strict=True
        ):
            image = container["image"]
            path = f"spec.containers{{{container['name']}}}"
            if self._images.of(image).kind != life.behaviour.kind:
                continue
            message, _ = pull_failure(life.behaviour, image)
            if life.step % 2 == 1:
                pod_status.set_waiting(item, "ErrImagePull", message)
                self._view.record(
                    pod, "Normal", "Pulling", f'Pulling image "{image}"', _COMPONENT, path
                )
                failed = f'Failed to pull image "{image}": {message}'
                self._view.record(pod, "Warning", "Failed", failed, _COMPONENT, path)
                self._view.record(pod, "Warning", "Failed", "Error: ErrImagePull", _COMPONENT, path)
            else:
                back_off = f'Back-off pulling image "{image}"'
                pod_status.set_waiting(
                    item, "ImagePullBackOff", f"{back_off}: ErrImagePull: {message}"
                )
                self._view.record(pod, "Normal", "BackOff", back_off, _COMPONENT, path)
                self._view.record(
                    pod, "Warning", "Failed", "Error: ImagePullBackOff", _COMPONENT, path
                )
        self._address(pod)
        self._write(pod)
        again = self.timings.ready_after if life.step % 2 == 1 else self._back_off(life.step // 2)
        life.step += 1
        self._again(pod, again)

    def _back_off(self, round_number: int) -> float:
        return float(min(300.0, self.timings.back_off * 2 ** max(0, round_number - 1)))

    def _refuse_name(self, pod: Json, life: _Life) -> None:
        for container, item in zip(
            pod["spec"]["containers"], pod["status"]["containerStatuses"], strict=True
        ):
            message = (
                f'Failed to apply default image tag "{container["image"]}": couldn\'t parse image'
                f' name "{container["image"]}": invalid reference format'
            )
            pod_status.set_waiting(item, "InvalidImageName", message)
            self._view.record(pod, "Warning", "InspectFailed", message, _COMPONENT,
                            f"spec.containers{{{container['name']}}}")  # fmt: skip
        self._write(pod)
        life.step = 9

    def _refuse_config(self, pod: Json, life: _Life) -> None:
        self._wait_for_configuration(pod, 'secret "app-settings" not found')

    def _wait_for_configuration(self, pod: Json, message: str) -> None:
        for item in pod["status"]["containerStatuses"]:
            pod_status.set_waiting(item, "CreateContainerConfigError", message)
        self._view.record(pod, "Warning", "Failed", f"Error: {message}", _COMPONENT)
        self._address(pod)
        self._write(pod)
        self._again(pod, self.timings.back_off)

    def _crash(self, pod: Json, life: _Life) -> None:
        """Starts, ends with its exit code, starts again: the first time at once, later after
        CrashLoopBackOff."""
        pod["status"]["phase"] = "Running"
        self._address(pod)
        if life.step % 2 == 1:
            self._run_until_crash(pod, life)
            return
        delay = self._back_off(life.restarts) if life.restarts else 0.0
        for item in pod["status"]["containerStatuses"]:
            self._end_crashed(pod, life, item, "5m0s" if delay >= 300 else f"{delay:g}s")
        self._write(pod)
        life.restarts += 1
        life.step += 1
        self._again(pod, delay)

    def _run_until_crash(self, pod: Json, life: _Life) -> None:
        self._start_logs(pod, life)
        if life.step == 1:
            self._note_pulled(pod)
        statuses = pod["status"]["containerStatuses"]
        for container, item in zip(pod["spec"]["containers"], statuses, strict=True):
            item["restartCount"] = life.restarts
            if "terminated" in item["state"]:
                item["lastState"] = item["state"]
            pod_status.set_running(item, self._view.now(), ready=False)
            item["imageID"] = pod_status.image_id(container["image"])
            item["containerID"] = pod_status.container_id(life.uid, item["name"], life.restarts)
        self._write(pod)
        life.step += 1
        self._again(pod, self.timings.crash_after)

    def _end_crashed(self, pod: Json, life: _Life, item: Json, delay: str) -> None:
        is_oom = life.behaviour.kind == "oom"
        code, reason = (137, "OOMKilled") if is_oom else (life.behaviour.exit_code, "Error")
        now = self._view.now()
        started = (item["state"].get("running") or {}).get("startedAt", now)
        container = item.get("containerID", "")
        if not life.restarts:
            item["ready"] = item["started"] = False
            item["state"] = pod_status.ended(code, reason, started, now, container)
            return
        item["lastState"] = pod_status.ended(code, reason, started, now, container)
        name, full_name = item["name"], f"{name_of(pod)}_{namespace_of(pod)}({life.uid})"
        message = f"back-off {delay} restarting failed container={name} pod={full_name}"
        pod_status.set_waiting(item, "CrashLoopBackOff", message)
        event = f"Back-off restarting failed container {name} in pod {full_name}"
        where = f"spec.containers{{{name}}}"
        self._view.record(pod, "Warning", "BackOff", event, _COMPONENT, where)

    def stop(self, key: tuple[tuple[str, str], str]) -> None:
        """The end of a terminating pod: kills its containers, then removes the object."""
        pod = self._view.store.get(PODS, *key[0])
        if pod is None or uid_of(pod) != key[1]:
            return
        if pod["metadata"].get("finalizers"):
            return
        for container in pod["spec"]["containers"]:
            message = f"Stopping container {container['name']}"
            self._view.record(
                pod,
                "Normal",
                "Killing",
                message,
                _COMPONENT,
                f"spec.containers{{{container['name']}}}",
            )
        self._view.registry.delete(PODS, *key[0], KUBELET, DeleteOptions(grace_period=0))
