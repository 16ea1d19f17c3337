"""Slack's request signature, version 0: HMAC-SHA256 over `v0:timestamp:body` with the app's signing
secret."""

from __future__ import annotations

import hashlib
import hmac


def signature_headers(signing_secret: str, body: bytes, timestamp: int) -> dict[str, str]:
    base = b"v0:" + str(timestamp).encode() + b":" + body
    digest = hmac.new(signing_secret.encode(), base, hashlib.sha256).hexdigest()
    return {"X-Slack-Signature": f"v0={digest}", "X-Slack-Request-Timestamp": str(timestamp)}
