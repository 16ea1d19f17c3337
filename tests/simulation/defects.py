"""Defects for the simulation alone, written from the product's code: no test is named that must
notice them, the seeds must."""

from __future__ import annotations

from tests.mutants.defects import DEFECTS, Defect

BY_SEED = "tests/simulation"
ROOMS = (
    "bot/releases/engine/",
    "bot/releases/facts/release.py",
    "bot/operations/lifecycle/",
    "bot/operations/delivery/",
    "bot/store/scripts/",
)
"""Engine, store and delivery: what a world runs. Manifests and waves are in none."""
NOT_SIMULATED = frozenset(
    {
        "objects of an apply written without their turn",
        "an abort that is no way back",
        "a release counted each time that it is saved",
        "a tick that works for nobody's request",
        "an undone template chosen by the next undo",
        "a preview Service deleted by its name",
    }
)
"""Of those, what leaves no trace at a port, or belongs to what no world has."""

WRITTEN: tuple[Defect, ...] = (
    Defect(
        "a lock taken from the release that holds it",
        "bot/store/scripts/prelude.lua",
        "  if owner and owner ~= id then return false end\n",
        "\n",
        BY_SEED,
    ),
    Defect(
        "a lease ended by a job that has lost it",
        "bot/store/scripts/finish.lua",
        "if redis.call('HGET', key('tokens'), id) ~= ARGV[2] then return 0 end\n",
        "\n",
        BY_SEED,
    ),
    Defect(
        "a lease taken over while its job runs",
        "bot/store/scripts/claim.lua",
        "    if begun or not token then\n",
        "    if not token then\n",
        BY_SEED,
    ),
    Defect(
        "an outbox emptied by the first delivery",
        "bot/store/scripts/delivered.lua",
        "'-inf', ARGV[2])",
        "'-inf', '+inf')",
        BY_SEED,
    ),
    Defect(
        "a probe whose errors are answers",
        "bot/releases/engine/probing.py",
        "    if not seen.probe.failed:\n",
        "    if seen.probe.asked:\n",
        BY_SEED,
    ),
    Defect(
        "a gate that opens one approval early",
        "bot/releases/engine/votes.py",
        "    return len(votes) >= gate.quorum and ",
        "    return len(votes) + 1 >= gate.quorum and ",
        BY_SEED,
    ),
    Defect(
        "one person approves twice",
        "bot/releases/engine/respond.py",
        "    if any(one.by == vote.by for one in state.votes):\n",
        "    if any(one.by == vote.by and one.at == now for one in state.votes):\n",
        BY_SEED,
    ),
    Defect(
        "a claim of a release that runs replaced",
        "bot/operations/lifecycle/find_stale_claims.py",
        '    return claim if before.phase.is_final and same_place else ""\n',
        '    return claim if same_place else ""\n',
        BY_SEED,
    ),
    Defect(
        "an old answer decides",
        "bot/releases/engine/old_answers.py",
        "OLD_FOR_MS = 15_000\n",
        "OLD_FOR_MS = 0\n",
        BY_SEED,
    ),
    Defect(
        "a candidate that was just made taken for gone",
        "bot/releases/engine/old_answers.py",
        "    return now - known.appeared_at < OLD_FOR_MS\n",
        "    return False\n",
        BY_SEED,
    ),
    Defect(
        "a preview that was just made taken for gone",
        "bot/releases/engine/old_answers.py",
        "    return any(now - one.appeared_at < OLD_FOR_MS for one in known)\n",
        "    return False\n",
        BY_SEED,
    ),
    Defect(
        "a card that counts as edited before its edit",
        "bot/operations/delivery/deliver_release.py",
        "    wait = context.store.book(EDITS, release.id, rank=rank)\n",
        "    context.store.delivered(release.id, through=0, card_version=release.version)\n"
        "    wait = context.store.book(EDITS, release.id, rank=rank)\n",
        BY_SEED,
    ),
    Defect(
        "a lost start forgotten at its end",
        "bot/releases/engine/lost_start.py",
        "    return may_have_written and not is_forced and not before.has_written\n",
        "    return False and may_have_written and not is_forced\n",
        BY_SEED,
    ),
    Defect(
        "a canary that ends without letting go of stable",
        "bot/releases/strategies/canary/steps.py",
        "Side.STABLE, claimed=False, when=(Condition.CANDIDATE_GONE,)",
        "Side.STABLE, when=(Condition.CANDIDATE_GONE,)",
        BY_SEED,
    ),
)


def concerned() -> tuple[Defect, ...]:
    """Every seeded defect that a world could show."""
    known = (one for one in DEFECTS if one.file.startswith(ROOMS) and one.name not in NOT_SIMULATED)
    return (*WRITTEN, *known)
