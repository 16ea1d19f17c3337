"""One connection to one API server, made when it is first used, and made anew in every forked
process and when its credentials change."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import orjson
import urllib3
import yaml
from kubernetes import config as kubernetes_config
from kubernetes.client.configuration import Configuration
from kubernetes.client.rest import RESTClientObject

from bot import tracing
from bot.cluster import errors
from bot.cluster.credentials import Credential, Plugin, Unusable, applied, load, read_kubeconfig
from bot.cluster.restraint import Restraint
from bot.ports import ClusterUnreachable, Refused
from bot.request_id import current_work
from bot.tally import count_kubernetes
from bot.tracing import describe, span
from config.watched_files import FileStamp, stamp_of

REQUEST_TIMEOUT_S = 3.0
WRITE_TIMEOUT_S = 11.0
"""An admission webhook may take 10 s, which is also its default; then the API server answers. A
tick, a job and a lease are longer (docs/decisions/0002)."""
SIDE_BY_SIDE = 8
"""How many reads of one observation go out at once, and so how many connections are kept."""

SILENCE_STANDS_S = 0.5
"""After a read that timed out, the next requests fail at once for so long."""

LONGEST_IDLE_S = 45.0
"""Balancers forget a silent connection without a word, the quickest common ones after 50 to 60 s; a
request into it would only time out."""

MOST_BYTES = 64 * 1024 * 1024
"""Of one answer of an API server: ten thousand pods fit."""
MOST_OF_AN_APP = 4 * 1024
"""Of an answer that an app gave through the API server's proxy: it may send without an end."""
_CHUNK = 64 * 1024

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

UNAUTHORIZED = 401
STREAM = "WATCH"
"""Counted when it begins."""
JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_AGENT = f"pilothouse/{version('pilothouse')}"

_T = TypeVar("_T")


@dataclass(frozen=True)
class ClusterAddress:
    """Where a cluster is: a kubeconfig that was named, and a context in it, or the pod's own
    service account."""

    kubeconfig: str | None = None
    context: str | None = None
    in_cluster: bool = False


_Stamp = tuple[FileStamp, ...]


@dataclass(frozen=True)
class _PerProcess:
    """``credential``: of a plugin; None where there is none, and before it is needed."""

    pid: int
    stamp: _Stamp
    credential: Credential | None
    pool: urllib3.PoolManager
    configuration: Configuration
    readers: ThreadPoolExecutor


@dataclass(frozen=True)
class _Answer:
    status: int
    data: bytes
    headers: Mapping[str, str]


class Connection:
    """Requests to one API server. Nothing is opened, read or started before the first request of
    each process."""

    def __init__(
        self,
        address: ClusterAddress,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
        connections: int = SIDE_BY_SIDE,
        longest_idle_s: float = LONGEST_IDLE_S,
        cluster: str = "",
        restraint: Restraint | None = None,
    ) -> None:
        """``cluster``: its name in the catalog, for what is counted. ``restraint``: None for what
        has a pace of its own."""
        self._restraint = restraint
        self._address = address
        self._cluster = cluster
        self._timeout_s = timeout_s
        self._write_timeout_s = write_timeout_s
        self._connections = connections
        self._longest_idle_s = longest_idle_s
        self._lock = threading.Lock()
        self._made: _PerProcess | None = None
        self._tls: tuple[Any, ssl.SSLContext] | None = None
        self._read: tuple[_Stamp, Configuration] | None = None
        self._files: tuple[str, ...] = ()  # those that the kubeconfig names
        self._plugin: Plugin | None = None
        self._clock: tuple[int, float] | None = None  # the server's time, our own when it came
        self._used_at = 0.0
        self._silent: tuple[int, float, ClusterUnreachable] | None = None

    def prepare(self) -> None:
        """Read the kubeconfig and load the certificates, so that forks need not. Opens no
        connection and runs no plugin. Raises ClusterUnreachable."""
        self._here(connects=False)

    @property
    def server(self) -> str:
        return str(self._here(connects=False).configuration.host)

    def get(self, path: str, query: Mapping[str, str] | None = None, *, accept: str = JSON) -> Any:
        """The answer's JSON. Raises ClusterUnreachable, Refused, errors.NotThere."""
        return orjson.loads(self.send("GET", path, query=query, accept=accept))

    def post(self, path: str, body: Any, query: Mapping[str, str] | None = None) -> Any:
        return orjson.loads(self.send("POST", path, query=query, body=body))

    def patch(self, path: str, body: Any, query: Mapping[str, str], *, content_type: str) -> Any:
        return orjson.loads(
            self.send("PATCH", path, query=query, body=body, content_type=content_type)
        )

    def get_text(
        self, path: str, query: Mapping[str, str] | None = None, *, most: int = MOST_OF_AN_APP
    ) -> str:
        """The first ``most`` bytes; what follows is not read."""
        found = self.send("GET", path, query=query, accept="*/*", first=most)
        return found.decode("utf-8", "replace")

    def required(
        self, path: str, query: Mapping[str, str] | None = None, *, accept: str = JSON
    ) -> Any:
        """A read that every observation needs: a refusal means "unknown", never "absent"."""
        try:
            return self.get(path, query, accept=accept)
        except Refused as refusal:
            raise ClusterUnreachable(f"the bot lacks a permission: {refusal}") from refusal

    def existing(self, path: str) -> Any | None:
        """The object, or None when Kubernetes says that it does not exist."""
        try:
            return self.required(path)
        except errors.NotThere:
            return None

    def list_if_allowed(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> list[Any] | None:
        """Items of a list; None when the API is not served here or the bot may not read it."""
        try:
            return self.get(path, query).get("items") or []
        except (errors.NotThere, Refused):
            return None

    def optional_items(self, path: str, query: Mapping[str, str] | None = None) -> list[Any]:
        """As ``list_if_allowed``, and none of what may not be read."""
        return self.list_if_allowed(path, query) or []

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout_s: float | None = None,
        first: int | None = None,
    ) -> bytes:
        """One request, one answer, no retries. ``first``: only so many bytes of it are read; else
        an answer of more than MOST_BYTES is an error."""
        usual = self._timeout_s if method == "GET" else self._write_timeout_s
        limit = usual if timeout_s is None else timeout_s
        headers = self._headers(self._here(), accept, content_type if body is not None else None)
        answer = self._request(
            method, path, query, None if body is None else orjson.dumps(body), headers, limit, first
        )
        self._read_clock(answer.headers.get("Date"))
        if answer.status == UNAUTHORIZED:
            self._forget_credential()
        if answer.status >= 300:
            raise errors.failure(
                answer.status,
                answer.data,
                answer.headers.get("Retry-After"),
                self.server,
                images=errors.images_named(body),
            )
        return answer.data

    def _forget_credential(self) -> None:
        """A plugin's may end before its time: the next request asks for a new one."""
        with self._lock:
            made = self._made
            if made is None or made.credential is None or made.credential.is_young:
                return
            if self._plugin is not None:
                self._plugin.forget()
            self._made = None

    def _read_clock(self, date: str | None) -> None:
        """RFC 9110: whole seconds, of the moment when the answer was made."""
        try:
            at = parsedate_to_datetime(date or "").timestamp()
        except ValueError:
            return
        self._clock = (round(at * 1000) + 500, time.monotonic())

    def server_time(self) -> int | None:
        """What the API server's clock shows now, in milliseconds: from its last answer, and counted
        on by a clock that cannot be set. None before the first answer."""
        if self._clock is None:
            return None
        at, read_at = self._clock
        return at + round((time.monotonic() - read_at) * 1000)

    def answer(self, path: str, *, timeout_s: float) -> tuple[int, bytes]:
        """Status and the first MOST_OF_AN_APP bytes as they came: what stands behind a proxy of the
        API server may answer as it likes. Raises ClusterUnreachable."""
        headers = self._headers(self._here(), "*/*", None)
        found = self._request("GET", path, None, None, headers, timeout_s, MOST_OF_AN_APP)
        return found.status, found.data

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str],
        limit: float,
        first: int | None,
    ) -> _Answer:
        about = {
            "http.request.method": method,
            "url.path": path.partition("?")[0],
            "pilothouse.cluster": self._cluster,
        }
        with span(f"kubernetes {method}", about):
            if self._restraint is not None:
                self._restraint.admit()
            self._refuse_while_silent()
            here = self._here()
            ends = time.monotonic() + limit
            before, self._used_at = self._used_at, time.monotonic()
            if self._used_at - before > self._longest_idle_s:
                here.pool.clear()
            try:
                answer = here.pool.request(
                    method,
                    self._url(here, path, query),
                    body=body,
                    headers={**headers, **tracing.headers()},
                    timeout=urllib3.Timeout(connect=min(limit, self._timeout_s), total=limit),
                    retries=False,
                    preload_content=False,
                )
                data, whole = first_bytes(answer, MOST_BYTES if first is None else first, ends=ends)
                self._count(method, str(answer.status), ends - limit)
                if self._restraint is not None:
                    self._restraint.answered()
            except urllib3.exceptions.HTTPError as error:
                self._count(method, errors.code_of(error), ends - limit)
                away = errors.unreachable(error, self.server, limit)
                # What is slow behind a proxy, or in admission, is not the API server.
                is_read = method == "GET" and first is None
                if is_read and isinstance(error, urllib3.exceptions.TimeoutError):
                    self._silent = (os.getpid(), time.monotonic(), away)
                if is_read and self._restraint is not None:
                    self._restraint.failed(ends - limit, away)
                raise away from error
            if not whole and first is None:
                raise ClusterUnreachable(
                    f"the API server {self.server} answered more than {MOST_BYTES >> 20} MiB"
                )
            return _Answer(answer.status, data, answer.headers)

    def _count(self, method: str, code: str, began: float) -> None:
        took_ms = round((time.monotonic() - began) * 1000)
        count_kubernetes(self._cluster, method, code, took_ms)
        describe("", {"pilothouse.code": code})

    def _refuse_while_silent(self) -> None:
        """A question about many apps waits once for a cluster that does not answer, not once for
        each app."""
        if self._silent is None or current_work().is_way_back:
            return
        pid, since, away = self._silent
        if pid == os.getpid() and time.monotonic() - since < SILENCE_STANDS_S:
            raise away

    def stream(
        self, path: str, query: Mapping[str, str], *, silence_s: float
    ) -> urllib3.BaseHTTPResponse:
        """A streamed answer; the caller reads and closes it. ``silence_s``: the longest wait for
        the next bytes."""
        here, began = self._here(), time.monotonic()
        try:
            answer = here.pool.request(
                "GET",
                self._url(here, path, query),
                headers=self._headers(here, JSON, None),
                preload_content=False,
                timeout=urllib3.Timeout(connect=self._timeout_s, read=silence_s),
                retries=False,
            )
            self._count(STREAM, str(answer.status), began)
            if answer.status >= 300:
                ends = time.monotonic() + self._timeout_s
                data, _ = first_bytes(answer, _CHUNK, ends=ends)
                raise errors.failure(
                    answer.status, data, answer.headers.get("Retry-After"), self.server
                )
        except urllib3.exceptions.HTTPError as error:
            self._count(STREAM, errors.code_of(error), began)
            raise errors.unreachable(error, self.server, silence_s) from error
        return answer

    def start(self, read: Callable[..., _T], *arguments: Any) -> Future[_T]:
        """Begin a read beside others."""
        return self._here().readers.submit(copy_context().run, read, *arguments)

    def _url(self, here: _PerProcess, path: str, query: Mapping[str, str] | None) -> str:
        return f"{here.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")

    def _headers(self, here: _PerProcess, accept: str, content_type: str | None) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": user_agent()}
        if content_type is not None:
            headers["Content-Type"] = content_type
        settings: Mapping[str, Any] = here.configuration.auth_settings()
        for setting in settings.values():  # calls the hook that renews tokens
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        return headers

    def _here(self, *, connects: bool = True) -> _PerProcess:
        """``connects``: a request follows, which needs the plugin's credentials."""
        made = self._usable(connects=connects)
        if made is not None:
            return made
        if self._made is not None and self._made.pid != os.getpid():
            self._lock = threading.Lock()  # a fork may have copied it held
        with self._lock:
            made = self._usable(connects=connects)
            if made is None:
                made = self._made = self._make(connects=connects)
            return made

    def _usable(self, *, connects: bool) -> _PerProcess | None:
        made = self._made
        if made is None or (made.pid, made.stamp) != (os.getpid(), self._stamps()):
            return None
        needs_plugin = connects and self._plugin is not None
        if needs_plugin and (made.credential is None or not made.credential.stands):
            return None
        return made

    def _stamps(self) -> _Stamp:
        """Of the files that a renewal changes. A service account's token is read anew by the client
        itself."""
        if self._address.in_cluster:
            return (_stamp(f"{SERVICE_ACCOUNT}/ca.crt"),)
        return tuple(map(_stamp, (self._address.kubeconfig, *self._files)))

    def _make(self, *, connects: bool) -> _PerProcess:
        configuration = self._configuration()
        plugin = self._plugin if connects else None
        credential = plugin.credential() if plugin is not None else None
        with applied(credential, configuration):
            return self._connected(configuration, credential)

    def _connected(
        self, configuration: Configuration, credential: Credential | None
    ) -> _PerProcess:
        if not configuration.verify_ssl:
            # The kubeconfig says so; one warning for each request would only drown the log.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        readers = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="cluster-read")
        pool = RESTClientObject(configuration).pool_manager
        self._share_tls(configuration, pool)
        return _PerProcess(os.getpid(), self._stamps(), credential, pool, configuration, readers)

    def _configuration(self) -> Configuration:
        """As the kubeconfig says. A fork takes what was read before it, unless the file has changed
        since: to read it takes 6 ms."""
        address = self._address
        try:
            if address.in_cluster:
                configuration = self._unread()
                kubernetes_config.load_incluster_config(client_configuration=configuration)
                return configuration
            if self._read is None or self._read[0] != self._stamps():
                self._read = self._read_again(address.kubeconfig or "")
            return self._read[1]
        except (kubernetes_config.ConfigException, Unusable, OSError, yaml.YAMLError) as error:
            where = (
                "the pod's service account"
                if address.in_cluster
                else f"kubeconfig {address.kubeconfig}"
            )
            raise ClusterUnreachable(
                f"{where} cannot be used: {errors.one_line(str(error))}"
            ) from error

    def _read_again(self, path: str) -> tuple[_Stamp, Configuration]:
        configuration = self._unread()
        found = read_kubeconfig(path, self._address.context)
        load(found, configuration)
        self._files = found.files
        self._plugin = Plugin(found) if found.plugin is not None else None
        return self._stamps(), configuration

    def _unread(self) -> Configuration:
        configuration = Configuration()
        configuration.retries = False
        configuration.connection_pool_maxsize = self._connections
        return configuration

    def _share_tls(self, configuration: Configuration, pool: urllib3.PoolManager) -> None:
        """One context for all connections, and for all forks of a process that prepared it.

        Else every connection loads the certificates again: with six side by side the first
        observation took 106 ms instead of 20.
        """
        if not configuration.host.startswith("https:"):
            return
        keys = ("ca_certs", "ca_cert_data", "cert_file", "key_file")
        ca, data, cert, key = given = tuple(
            pool.connection_pool_kw.pop(name, None) for name in keys
        )
        wanted = (bool(configuration.verify_ssl), *given, *map(_stamp, (ca, cert, key)))
        if self._tls is None or self._tls[0] != wanted:
            self._tls = (wanted, _tls_context(bool(configuration.verify_ssl), ca, data, cert, key))
        pool.connection_pool_kw["ssl_context"] = self._tls[1]


def user_agent() -> str:
    """An API server's audit log and its access log keep this header of every request
    (audit.k8s.io/v1, Event.userAgent), and no header of our own. What comes before the slash is
    what names a writer that names itself nothing else."""
    work = current_work()
    known = (("release", work.release), ("request", work.request))
    about = "; ".join(f"{name}={value}" for name, value in known if value)
    return f"{_AGENT} ({about})" if about else _AGENT


def first_bytes(answer: urllib3.BaseHTTPResponse, most: int, *, ends: float) -> tuple[bytes, bool]:
    """(at most so many bytes, whether that is all). ``ends``: of time.monotonic(); urllib3 limits
    the wait for each piece alone, and pieces may come for ever. Raises urllib3's errors."""
    parts: list[bytes] = []
    left = most
    while left >= 0:
        part = answer.read1(min(_CHUNK, left + 1), decode_content=False)
        if not part:
            answer.release_conn()
            return b"".join(parts), True
        parts.append(part)
        left -= len(part)
        if left >= 0 and time.monotonic() > ends:
            answer.close()
            raise urllib3.exceptions.ReadTimeoutError(None, None, "the answer does not end")  # type: ignore[arg-type]
    answer.close()
    return b"".join(parts)[:most], False


def _stamp(file: str | None) -> FileStamp:
    """The default kubeconfig is ignored."""
    return stamp_of(Path(file)) if file is not None else None


class SharedContext(ssl.SSLContext):
    """For connections of many threads: what is offered in ALPN is set once.

    urllib3 sets it again for every connection. OpenSSL frees the old list then, and a handshake
    that another thread begins at that moment sends what is left of it: the server ends such a
    connection with "decode error".
    """

    def __init__(self, protocol: int) -> None:
        super().set_alpn_protocols(["http/1.1"])
        self.hostname_checks_common_name = False

    def set_alpn_protocols(self, _protocols: Iterable[str]) -> None:
        """Kept as it is."""


def _tls_context(
    verify: bool,
    ca_file: str | None,
    ca_data: str | bytes | None,
    cert: str | None,
    key: str | None,
) -> ssl.SSLContext:
    context = SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if ca_file or ca_data:
        context.load_verify_locations(cafile=ca_file or None, cadata=ca_data or None)
    elif verify:
        context.load_default_certs()
    if cert:
        context.load_cert_chain(cert, key)
    return context


# --- paths ----------------------------------------------------------------------------------------

_GROUPS = {
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "poddisruptionbudgets": "/apis/policy/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
}  # whatever is not listed is in the core group


def path_of(resource: str, namespace: str, name: str | None = None) -> str:
    path = f"{_GROUPS.get(resource, '/api/v1')}/namespaces/{quote(namespace, safe='')}/{resource}"
    return path if name is None else f"{path}/{quote(name, safe='')}"


def listed_autoscaler(
    connection: Connection, namespace: str, name: str
) -> Mapping[str, Any] | None:
    """Autoscalers are listed for a plan anyway: so no further verb has to be granted. Raises
    ClusterUnreachable."""
    query = {"fieldSelector": f"metadata.name={name}"}
    found = connection.required(path_of("horizontalpodautoscalers", namespace), query)
    items: Sequence[Mapping[str, Any]] = found.get("items") or ()
    return items[0] if items else None


def label_query(selector: Mapping[str, Any] | None) -> dict[str, str]:
    """A LabelSelector as the query of a list (apimachinery/pkg/apis/meta/v1:
    LabelSelectorAsSelector)."""
    selector = selector or {}
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], ",".join(rule.get("values") or ())
        terms.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[rule["operator"]]
        )
    return {"labelSelector": ",".join(terms)}


def in_query(key: str, values: Sequence[str]) -> dict[str, str]:
    return {"labelSelector": f"{key} in ({','.join(values)})"}
