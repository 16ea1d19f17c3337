"""All rendering behind one object, the Render of bot.operations.context. Holds only names: of apps,
commands and those who have roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.commands.deploy_form import DeployForm
from bot.commands.table import Names
from bot.operations.replies import Reply, RolloutCard, TableReply, WorsenedCard
from bot.policy.permissions import Access, Role
from bot.ports import Message
from bot.releases.engine.gates import open_gate
from bot.releases.facts.events import Event
from bot.releases.facts.plan import ApprovalGate, Plan
from bot.releases.facts.release import Release
from bot.slack.blocks import announcements, card, modal, outside, replies, worsened
from bot.slack.blocks.plan import plan_outline
from bot.slack.blocks.tables import as_file


@dataclass(frozen=True)
class SlackRendering:
    apps: tuple[str, ...] = ()  # for examples
    names: Names = field(default_factory=Names)
    access: Access = field(default_factory=Access)  # whom a reminder mentions

    def card(
        self, release: Release, *, now: int, first: bool = False, followed: bool = False
    ) -> Message:
        return card.card(release, now=now, names=self.names, first=first, followed=followed)

    def moved_card(self, release: Release, address: str) -> Message:
        return card.moved_card(release, address)

    def announcement(
        self, release: Release, event: Event, card: str = ""
    ) -> tuple[Message, bool] | None:
        target, gate = release.target, open_gate(release)
        is_admins = isinstance(gate, ApprovalGate) and gate.role == "admin"
        role = Role.ADMIN if is_admins else Role.APPROVER
        approvers = self.access.named(role, target.app, target.cluster)
        return announcements.announcement(release, event, approvers, card)

    def reply(self, reply: Reply, *, now: int) -> Message:
        return replies.reply_message(reply, names=self.names, apps=self.apps, now=now)

    def form(self, form: DeployForm) -> Mapping[str, Any]:
        return modal.deploy_modal(form, self.names)

    def plan(self, plan: Plan) -> tuple[str, ...]:
        return plan_outline(plan)

    def notice(self, line: str) -> Message:
        return replies.notice(line)

    def rollout(self, card: RolloutCard) -> Message:
        return outside.rollout_message(card)

    def worsened(self, card: WorsenedCard) -> Message:
        return worsened.worsened_message(card, self.names)

    def file(self, reply: TableReply) -> str:
        return as_file(reply.tables)
