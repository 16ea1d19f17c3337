"""What `pilothouse audit verify` finds in a store."""

from __future__ import annotations

from collections.abc import Collection

from bot.ports import AuditHead
from bot.store import RedisReleaseStore
from bot.store.audit_verify import verify


def audit_findings(store: RedisReleaseStore, witness: Collection[AuditHead] = ()) -> list[str]:
    trail = store.trail
    state, entries = trail.state(), list(trail.entries())
    rows = zip(entries, trail.words(entries), strict=True)
    return [f"audit: {found}" for found in verify(rows, state, witness).findings]
