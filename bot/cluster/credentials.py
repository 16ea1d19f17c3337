"""What a kubeconfig gives a connection: its files, read again when they change, and credentials of
a plugin (``exec``), which gets a time limit and whose failure stands for a while.

The Kubernetes client reads a ``tokenFile`` once, waits for a plugin for ever, and connects without
credentials where one fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client.configuration import Configuration
from kubernetes.config.kube_config import KubeConfigLoader

from bot.ports import ClusterUnreachable

PLUGIN_TIMEOUT_S = 5.0
"""Cloud providers' plugins take one to three seconds. Less than a tick's budget."""
FAILURE_STANDS_S = 5.0
"""A plugin that failed or hung is not run again sooner: each read of one observation would wait for
it."""
RENEWED_BEFORE_S = 30.0
YOUNG_S = 60.0
MOST_OUTPUT = 256 * 1024
MOST_WORDS = 300
_FILES = ("tokenFile", "client-certificate", "client-key")

Json = Mapping[str, Any]


class Unusable(Exception):
    """Why a kubeconfig gives no connection, in one line."""


@dataclass(frozen=True)
class Kubeconfig:
    """One context of a kubeconfig. ``files``: those that it names, which may be renewed."""

    path: Path
    document: Json
    context: str
    cluster: Json
    plugin: Json | None
    files: tuple[str, ...]


def read_kubeconfig(path: str, context: str | None) -> Kubeconfig:
    """Raises Unusable, OSError, yaml.YAMLError."""
    file = Path(path)
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise Unusable("it is not a kubeconfig")
    name = context or str(document.get("current-context") or "")
    chosen = _named(document, "contexts", name)
    user = (_named(document, "users", (chosen.get("context") or {}).get("user")) or {}).get("user")
    found = _named(document, "clusters", (chosen.get("context") or {}).get("cluster"))
    cluster = found.get("cluster") or {}
    authority = cluster.get("certificate-authority")
    named = [(user or {}).get(key) for key in _FILES] + [authority]
    files = tuple(str(file.parent / one) for one in named if isinstance(one, str) and one)
    plugin = (user or {}).get("exec")
    run = plugin if isinstance(plugin, dict) else None
    return Kubeconfig(file, document, name, cluster, run, files)


def context_names(path: str) -> tuple[tuple[str, ...], str]:
    """The contexts of a kubeconfig, and its current one, "" for none. Raises Unusable, OSError,
    yaml.YAMLError, UnicodeDecodeError."""
    document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(document, dict) or not isinstance(document.get("contexts"), list):
        raise Unusable("it is not a kubeconfig")
    found = (one.get("name") for one in document["contexts"] if isinstance(one, dict))
    names = tuple(name for name in found if isinstance(name, str) and name)
    current = str(document.get("current-context") or "")
    return names, current if current in names else ""


def _named(document: Json, kind: str, name: object) -> Json:
    found = (one for one in document.get(kind) or () if isinstance(one, dict))
    return next((one for one in found if one.get("name") == name), {})


def load(kubeconfig: Kubeconfig, configuration: Configuration) -> None:
    """Everything but the plugin's credentials. Raises kubernetes' ConfigException."""
    users = [_without_plugin(one) for one in kubeconfig.document.get("users") or ()]
    KubeConfigLoader(
        {**kubeconfig.document, "users": users},
        active_context=kubeconfig.context or None,
        config_base_path=str(kubeconfig.path.parent),
    ).load_and_set(configuration)


def _without_plugin(entry: Any) -> Any:
    user = entry.get("user") if isinstance(entry, dict) else None
    if not isinstance(user, dict):
        return entry
    return {**entry, "user": {key: value for key, value in user.items() if key != "exec"}}


@dataclass(frozen=True)
class Credential:
    """What a plugin gave, until ``until`` (of time.time(); None: until a process ends)."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    until: float | None = None
    given_at: float = field(default_factory=time.monotonic)

    @property
    def is_young(self) -> bool:
        """Where the API server refuses one so new, another would be refused too."""
        return time.monotonic() - self.given_at < YOUNG_S

    @property
    def stands(self) -> bool:
        return self.until is None or time.time() < self.until - RENEWED_BEFORE_S


def _cluster_info(cluster: Json) -> Json:
    """As client-go gives it to a plugin that asks: its own part of the extensions is ``config``."""
    own = next(
        (
            one.get("extension")
            for one in cluster.get("extensions") or ()
            if isinstance(one, dict) and one.get("name") == "client.authentication.k8s.io/exec"
        ),
        None,
    )
    return {key: value for key, value in cluster.items() if key != "extensions"} | (
        {"config": own} if own is not None else {}
    )


class Plugin:
    """One ``exec`` entry. Not safe for threads: its connection has a lock."""

    def __init__(self, kubeconfig: Kubeconfig, *, timeout_s: float = PLUGIN_TIMEOUT_S) -> None:
        assert kubeconfig.plugin is not None
        self._entry, self._folder = kubeconfig.plugin, kubeconfig.path.parent
        self._cluster = _cluster_info(kubeconfig.cluster)
        self._timeout_s = timeout_s
        self._given: Credential | None = None
        self._failed: tuple[float, ClusterUnreachable] | None = None

    def forget(self) -> None:
        """The API server no longer takes what it gave."""
        self._given = None

    def credential(self) -> Credential:
        """Raises ClusterUnreachable, also for a failure that still stands."""
        if self._given is not None and self._given.stands:
            return self._given
        if self._failed is not None and time.monotonic() - self._failed[0] < FAILURE_STANDS_S:
            raise self._failed[1]
        try:
            self._given = self._run()
        except Unusable as why:
            away = ClusterUnreachable(f"credential plugin `{self._name}` {why}")
            self._failed = (time.monotonic(), away)
            raise away from why
        self._failed = None
        return self._given

    @property
    def _name(self) -> str:
        return str(self._entry.get("command") or "")

    def _command(self) -> list[str]:
        """A command with a slash is relative to the kubeconfig's folder, as in kubectl."""
        name = self._name
        command = str(self._folder / name) if "/" in name and not name.startswith("/") else name
        return [command, *map(str, self._entry.get("args") or ())]

    def _environment(self) -> dict[str, str]:
        version = self._entry.get("apiVersion")
        spec: dict[str, Any] = {"interactive": False}
        if self._entry.get("provideClusterInfo"):
            spec["cluster"] = self._cluster
        info = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
        own = {
            str(one.get("name")): str(one.get("value") or "")
            for one in self._entry.get("env") or ()
            if isinstance(one, dict)
        }
        return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(info)}

    def _run(self) -> Credential:
        try:
            process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment(),
                start_new_session=True,  # so that what it starts ends with it
            )
        except FileNotFoundError as missing:
            hint = " ".join(str(self._entry.get("installHint") or "").split())[:MOST_WORDS]
            raise Unusable(f"is not installed here{f': {hint}' if hint else ''}") from missing
        except OSError as error:
            raise Unusable(f"cannot be run: {error.strerror}") from error
        try:
            output, said = process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired as late:
            raise Unusable(f"did not answer within {self._timeout_s:g} s") from late
        finally:
            _end(process)
        if process.returncode:
            words = " ".join(said[:MOST_OUTPUT].decode("utf-8", "replace").split())[:MOST_WORDS]
            raise Unusable(f"ended with {process.returncode}{f': {words}' if words else ''}")
        return _read(output)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its whole group: what it left running would keep its pipes open."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _read(output: bytes) -> Credential:
    try:
        status = json.loads(output[:MOST_OUTPUT])["status"]
        until = status.get("expirationTimestamp")
        return Credential(
            token=str(status.get("token") or ""),
            certificate=str(status.get("clientCertificateData") or ""),
            key=str(status.get("clientKeyData") or ""),
            until=datetime.fromisoformat(until).timestamp() if until else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unusable("gave no ExecCredential") from error


@contextlib.contextmanager
def applied(credential: Credential | None, configuration: Configuration) -> Iterator[None]:
    """Token or certificate. OpenSSL reads certificates from files alone: theirs are gone again when
    the connections are made."""
    if credential is None:
        yield
        return
    if credential.token:
        configuration.api_key["authorization"] = f"Bearer {credential.token}"
    if not (credential.certificate and credential.key):
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("cert", credential.certificate), ("key", credential.key)):
            file = Path(folder) / f"{name}.pem"
            file.touch(0o600)
            file.write_text(text, encoding="ascii")
            setattr(configuration, f"{name}_file", str(file))
        yield
