"""Where a reply may be sent: a response_url arrives from outside and waits in Redis."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_HOOKS = "hooks.slack.com"
_PLAIN_AUTHORITY = re.compile(r"[a-z0-9.-]+(:[0-9]{1,5})?")


def may_reply_to(response_url: str, api_url: str) -> bool:
    """Whether it is Slack's. ``api_url``: SLACK_API_URL. For another host than slack.com, the URL
    must lead to that host or below it, by the same scheme.

    >>> may_reply_to("https://hooks.slack.com/commands/1", "https://slack.com/api/")
    True
    >>> may_reply_to("https://hooks.slack.com.example.com/1", "https://slack.com/api/")
    False
    """
    if not response_url.isascii() or not response_url.isprintable():
        return False
    try:
        to, api = urlsplit(response_url), urlsplit(api_url)
        port = to.port
    except ValueError:
        return False
    if to.scheme != api.scheme or not _PLAIN_AUTHORITY.fullmatch(to.netloc) or not api.hostname:
        return False
    host = to.hostname or ""
    if api.hostname == "slack.com":
        return host == _HOOKS and port in (None, 443)
    return port == api.port and (host == api.hostname or host.endswith(f".{api.hostname}"))
