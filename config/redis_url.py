"""What REDIS_URL may be. An option that nobody reads, such as a misspelled one, is a mistake: it
could silently leave a connection unchecked."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qs, urlsplit

from config.nearest import nearest

SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
ENCRYPTED_SCHEMES = ("rediss", "rediss+sentinel")
TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "ssl_password",
)
SERVER_OPTIONS = (
    "db",
    "health_check_interval",
    "protocol",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_timeout",
)
SENTINEL_OPTIONS = ("replicas", "sentinel_password")
_FORMS = (
    "is not a Redis URL: use redis://HOST:PORT/0, rediss://…, unix://PATH,"
    " redis+sentinel://HOST:PORT,HOST:PORT/SERVICE or rediss+sentinel://…"
)


def mistake_in(url: str) -> str:
    """What is wrong with it, in words that show nothing secret; "" where nothing is."""
    parts = urlsplit(url)
    if not _has_form(parts):
        return _FORMS
    given = options_of(parts)
    known = _known_options(parts.scheme)
    for name in given:
        if name not in known:
            return _unknown(name, parts.scheme, known)
    return _certificates(given)


def options_of(parts: SplitResult) -> Mapping[str, str]:
    found = parse_qs(parts.query, keep_blank_values=True)
    return {name: values[-1] for name, values in found.items()}


def _has_form(parts: SplitResult) -> bool:
    match parts.scheme:
        case "unix":
            return bool(parts.path)
        case "redis" | "rediss":
            return bool(parts.hostname)
        case scheme if scheme in SENTINEL_SCHEMES:
            return bool(parts.netloc and parts.path.strip("/"))
        case _:
            return False


def _known_options(scheme: str) -> tuple[str, ...]:
    of_server = SENTINEL_OPTIONS if scheme in SENTINEL_SCHEMES else SERVER_OPTIONS
    return (*of_server, *(TLS_OPTIONS if scheme in ENCRYPTED_SCHEMES else ()))


def _unknown(name: str, scheme: str, known: tuple[str, ...]) -> str:
    if name in TLS_OPTIONS:
        secure = scheme.replace("redis", "rediss", 1)
        return f"has the option {name}, which needs TLS: begin it with {secure}://"
    close = nearest(name, known)
    hint = f"did you mean {close}?" if close else f"known are {', '.join(known)}"
    return f"has the unknown option {name}; {hint}"


def _certificates(given: Mapping[str, str]) -> str:
    try:
        if path := given.get("ssl_ca_certs"):
            ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        return f"names ssl_ca_certs={path}, which holds no certificate in PEM"
    except OSError as error:
        return f"names ssl_ca_certs={path}, which cannot be read: {error.strerror}"
    return ""
