"""The environment of `pilothouse deploy`: where the API is, and the token for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.addresses import keeps_secrets

URL, TOKEN_FILE = "PILOTHOUSE_API_URL", "PILOTHOUSE_API_TOKEN_FILE"


@dataclass(frozen=True)
class ApiAccess:
    url: str
    token: str = field(repr=False)


def read_api_access(environment: Mapping[str, str]) -> ApiAccess:
    """Raises ValueError with one line, which holds no token."""
    url, file = (environment.get(name, "").strip() for name in (URL, TOKEN_FILE))
    if not url or not file:
        raise ValueError(f"{TOKEN_FILE if url else URL} is not set")
    if not keeps_secrets(url):
        raise ValueError(
            f"{URL} is not encrypted: a token is sent over https, and over http only inside of a"
            " cluster"
        )
    try:
        lines = Path(file).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{TOKEN_FILE} names a file that cannot be read") from None
    if not lines:
        raise ValueError(f"{TOKEN_FILE} names an empty file")
    return ApiAccess(url.rstrip("/"), lines[0])
