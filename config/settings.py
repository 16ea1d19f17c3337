"""The environment of a process, checked at once: every mistake is reported together, and no secret
is ever printed.

Each secret may instead be the name of a file that holds it:
``SLACK_BOT_TOKEN_FILE=/run/secrets/bot-token``.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from config.nearest import listed, nearest
from config.redis_url import mistake_in

SLACK_API_URL = "https://slack.com/api/"
Process = Literal["bot", "worker", "watcher", "terminal"]
SECRETS = (
    "SLACK_SIGNING_SECRET",
    "SLACK_BOT_TOKEN",
    "SLACK_APP_TOKEN",
    "REDIS_URL",
    "REDIS_PASSWORD",
)
PLAIN = (
    "SLACK_API_URL",
    "SLACK_CA_FILE",
    "PILOTHOUSE_CONFIG",
    "PILOTHOUSE_HOST",
    "PILOTHOUSE_PORT",
    "PILOTHOUSE_METRICS_PORT",
    "PILOTHOUSE_LOG_LEVEL",
    "PILOTHOUSE_LOG_FORMAT",
    "PILOTHOUSE_COMMANDS",
    "PILOTHOUSE_PREFIX",
)
OF_DEPLOY = ("PILOTHOUSE_API_URL", "PILOTHOUSE_API_TOKEN_FILE")
"""Read by config.api_access alone."""
VARIABLES = (*SECRETS, *(f"{name}_FILE" for name in SECRETS), *PLAIN, *OF_DEPLOY)
_LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("text", "json")


class SettingsMistakes(Exception):
    """The environment has mistakes; ``lines`` names each and what to set."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True)
class Settings:
    redis_url: str = field(repr=False)
    config: Path
    slack_bot_token: str = field(default="", repr=False)
    slack_signing_secret: str = field(default="", repr=False)
    slack_app_token: str = field(default="", repr=False)
    slack_api_url: str = SLACK_API_URL
    slack_ca_file: str = ""
    """Authorities that may sign Slack's certificate, beside the system's."""
    host: str = "127.0.0.1"
    port: int = 3000
    metrics_port: int | None = None
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
    commands: str = "default"
    """Slash commands registered with Slack, as `pilothouse manifest --commands` takes them; the
    composition root reads them by the command table."""
    prefix: str = ""
    """Put before each slash command, as `pilothouse manifest --prefix`."""
    traces: bool = False
    """Whether OpenTelemetry's variables name a receiver; its SDK reads the rest of them."""

    @property
    def signing_secrets(self) -> tuple[str, ...]:
        """One a line: while Slack's is exchanged, requests signed with either are taken."""
        return tuple(filter(None, map(str.strip, self.slack_signing_secret.splitlines())))

    @property
    def uses_socket_mode(self) -> bool:
        return bool(self.slack_app_token)


def named_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The catalog, and the files that hold a secret."""
    names = ("PILOTHOUSE_CONFIG", *(f"{name}_FILE" for name in SECRETS))
    return tuple(Path(path) for name in names if (path := environment.get(name, "").strip()))


def wants_traces(environment: Mapping[str, str]) -> bool:
    """As OpenTelemetry's own variables say."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_off or environment.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return False
    names = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    return any(environment.get(name, "").strip() for name in names)


def read_settings(environment: Mapping[str, str], process: Process) -> Settings:
    """The settings that ``process`` needs. Raises SettingsMistakes with all of them."""
    reader = _Reader(environment)
    talks_to_slack = process in ("bot", "worker")
    bot_token = reader.secret(
        "SLACK_BOT_TOKEN", needed=talks_to_slack, check=_prefixed("xoxb-", "a bot token")
    )
    app_token = reader.secret(
        "SLACK_APP_TOKEN", needed=False, check=_prefixed("xapp-", "an app-level token")
    )
    signing = reader.secret("SLACK_SIGNING_SECRET", needed=process == "bot" and not app_token)
    redis_url = reader.redis_url()
    config = reader.plain("PILOTHOUSE_CONFIG", "" if process != "terminal" else "-")
    if not config:
        reader.mistakes.append("PILOTHOUSE_CONFIG is not set: set it to the catalog file")
    api_url = reader.plain("SLACK_API_URL", SLACK_API_URL)
    if problem := _api_url(api_url):
        reader.mistakes.append(f"SLACK_API_URL is `{api_url}`: {problem}")
    ca_file = reader.plain("SLACK_CA_FILE", "")
    if problem := _ca_file(ca_file):
        reader.mistakes.append(f"SLACK_CA_FILE names {ca_file}, which {problem}")
    host = reader.plain("PILOTHOUSE_HOST", "127.0.0.1")
    port = reader.port("PILOTHOUSE_PORT", 3000)
    metrics_port = reader.port("PILOTHOUSE_METRICS_PORT", None)
    level = reader.choice("PILOTHOUSE_LOG_LEVEL", "info", _LEVELS)
    log_format = reader.choice("PILOTHOUSE_LOG_FORMAT", "text", _FORMATS)
    reader.find_misspelled()
    if reader.mistakes:
        raise SettingsMistakes(tuple(reader.mistakes))
    return Settings(
        redis_url=redis_url,
        config=Path(config),
        slack_bot_token=bot_token,
        slack_signing_secret=signing,
        slack_app_token=app_token,
        slack_api_url=api_url if api_url.endswith("/") else f"{api_url}/",
        slack_ca_file=ca_file,
        host=host,
        port=port if port is not None else 3000,
        metrics_port=metrics_port,
        log_level=level,
        log_format="json" if log_format == "json" else "text",
        commands=reader.plain("PILOTHOUSE_COMMANDS", "default"),
        prefix=reader.plain("PILOTHOUSE_PREFIX", ""),
        traces=wants_traces(environment),
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.mistakes: list[str] = []

    def plain(self, name: str, default: str) -> str:
        return self.environment.get(name, "").strip() or default

    def secret(self, name: str, *, needed: bool, check: Callable[[str], str] | None = None) -> str:
        direct, file = (
            self.environment.get(name, "").strip(),
            self.environment.get(f"{name}_FILE", "").strip(),
        )
        if direct and file:
            self.mistakes.append(f"{name} and {name}_FILE are both set: keep one")
            return direct
        value = direct
        if file:
            try:
                value = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not text"
                self.mistakes.append(f"{name}_FILE names {file}, which cannot be read: {why}")
                return ""
            if not value:
                self.mistakes.append(f"{name}_FILE names {file}, which is empty")
                return ""
        if not value:
            if needed:
                self.mistakes.append(
                    f"{name} is not set: set it, or {name}_FILE to a file that holds it"
                )
            return ""
        if check is not None and (problem := check(value)):
            self.mistakes.append(f"{name} {problem}")
        return value

    def redis_url(self) -> str:
        """With the password that is kept apart."""
        url = self.secret("REDIS_URL", needed=True, check=mistake_in)
        password = self.secret("REDIS_PASSWORD", needed=False)
        if not url or not password:
            return url
        parts = urlsplit(url)
        credentials, _, hosts = parts.netloc.rpartition("@")
        user, has_password, _ = credentials.partition(":")
        if has_password:
            self.mistakes.append("REDIS_URL holds a password and REDIS_PASSWORD is set: keep one")
            return url
        return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{hosts}").geturl()

    def port(self, name: str, default: int | None) -> int | None:
        text = self.plain(name, "")
        if not text:
            return default
        if text.isascii() and text.isdigit() and int(text) < 65_536:
            return int(text)
        hint = ""
        if text.startswith("tcp://"):
            hint = (
                "; Kubernetes sets it for a Service of that name: set `enableServiceLinks: false`"
                " in the pod"
            )
        self.mistakes.append(f"{name} is `{text}`: use a port from 0 to 65535{hint}")
        return default

    def choice(self, name: str, default: str, known: tuple[str, ...]) -> str:
        text = self.plain(name, default).lower()
        if text not in known:
            close = nearest(text, known)
            hint = f"; did you mean {close}?" if close else ""
            self.mistakes.append(f"{name} is `{text}`: use {listed(known)}{hint}")
            return default
        return text

    def find_misspelled(self) -> None:
        """Reports a variable that is almost one of ours: it would silently do nothing."""
        for name in self.environment:
            ours = (
                name.startswith("PILOTHOUSE_") and "_SERVICE_" not in name and "_PORT_" not in name
            )
            if not ours or name in VARIABLES:
                continue
            close = nearest(
                name.removeprefix("PILOTHOUSE_"), [v.removeprefix("PILOTHOUSE_") for v in PLAIN]
            )
            if close and f"PILOTHOUSE_{close}" not in self.environment:
                self.mistakes.append(f"{name} is unknown; did you mean PILOTHOUSE_{close}?")


def _prefixed(prefix: str, what: str) -> Callable[[str], str]:
    return lambda value: (
        "" if value.startswith(prefix) else f"is not {what}: it must begin with {prefix}"
    )


def _api_url(value: str) -> str:
    """The bot token goes there: unencrypted only within this machine."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"use a URL such as {SLACK_API_URL}"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return "use https; http is for this machine alone"
    return ""


def _ca_file(path: str) -> str:
    if not path:
        return ""
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        return "holds no certificate in PEM"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
