"""May a secret be sent to this address? Encrypted, or within this machine or the cluster."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def keeps_secrets(url: str) -> bool:
    """Raises ValueError for what is no http address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"`{url}` is not an address such as https://example.com")
    return parts.scheme == "https" or _is_inside(host)


def _is_inside(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith((".svc", ".svc.cluster.local"))
