"""HTTP by the standard library that follows no redirect: a secret goes to nobody else."""

from __future__ import annotations

import urllib.request
from typing import Any


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def make_opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)
