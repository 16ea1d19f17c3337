"""The 409 of server-side apply."""

from __future__ import annotations

from sandbox.cluster.api_server import managed_fields
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.managed_fields import ApplyConflicts
from sandbox.cluster.objects import Json


def apply_conflict(found: ApplyConflicts) -> ApiFailure:
    """Names each manager and field, in the words of the real API server."""
    causes: list[Json] = []
    by_owner: dict[str, list[str]] = {}
    for conflict in found.conflicts:
        owner = managed_fields.owner_text(conflict.owner)
        path = managed_fields.path_text(conflict.path)
        causes.append(
            {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": path}
        )
        by_owner.setdefault(owner, []).append(path)
    if len(causes) == 1:
        owner, paths = next(iter(by_owner.items()))
        message = f"Apply failed with 1 conflict: conflict with {owner}: {paths[0]}"
    else:
        parts: list[str] = []
        for owner, paths in sorted(by_owner.items()):
            parts.append(f"conflicts with {owner}:")
            parts += [f"- {path}" for path in paths]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(parts)
    return ApiFailure(409, "Conflict", message, {"causes": causes})
