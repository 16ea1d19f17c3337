"""Delivers people's actions to the app and applies its replies: commands, clicks, submissions,
typing into selects, mentions.

Each function is one action of a person. It returns what that person saw at once, as the control
API passes it on.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sandbox.slack.app_link import Answer
from sandbox.slack.element_rules import check_options
from sandbox.slack.errors import SlackError
from sandbox.slack.findings import Findings
from sandbox.slack.messages import check_content
from sandbox.slack.payloads import Payloads, find_element
from sandbox.slack.platform import Platform
from sandbox.slack.typed_text import format_typed, mentions
from sandbox.slack.view_input import fill_state, missing_inputs
from sandbox.slack.workspace import Conversation

Json = dict[str, Any]


class Interactions:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._payloads = Payloads(platform)
        self._background: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    # --- a typed line ---

    async def type_line(
        self, user_id: str, channel: str, text: str, thread_ts: str | None = None
    ) -> Json:
        conversation = self._entered(user_id, channel)
        if text.startswith("/"):
            return await self._slash_command(user_id, conversation, text, thread_ts)
        formatted = format_typed(text, self._platform.workspace)
        message = self._platform.messages.post(
            conversation, {"user": user_id, "text": formatted}, thread_ts
        )
        self._tell_of_message(conversation, message)
        return {"ok": True, "message": message}

    async def _slash_command(
        self, user_id: str, conversation: Conversation, line: str, thread_ts: str | None
    ) -> Json:
        command, _, text = line.partition(" ")
        if thread_ts:
            return self._reply_privately(
                conversation, user_id, f"{command} is not supported in threads. Sorry!", thread_ts
            )
        if not self._platform.manifest.knows(command):
            return self._reply_privately(
                conversation,
                user_id,
                f"{command} is not a valid command. In Slack, all messages that start with the “/”"
                " character are interpreted as commands. If you are trying to send a message and"
                " not run a command, try preceding the “/” with an empty space.",
            )
        known = self._platform.manifest.commands.get(command)
        if known is not None and known.should_escape:
            text = format_typed(text, self._platform.workspace)
        payload = self._payloads.slash_command(user_id, conversation, command, text.strip())
        answer = await self._platform.app.send("slash_commands", command, payload)
        result: Json = {
            "ok": not answer.problem,
            "ack_ms": round(answer.duration_ms, 2),
            "payload": payload,
        }
        if answer.problem:
            reply = self._reply_privately(
                conversation, user_id, f'{command} failed with the error "{answer.problem}"'
            )
            return {**result, **reply, "ok": False, "error": answer.problem}
        if not answer.body.strip():
            return {**result, "text": "", "message": None}
        content = answer.json if answer.json is not None else {"text": answer.body}
        if not content.get("text") and not content.get("blocks"):
            return {**result, "text": "", "message": None}
        try:
            message = self._answer_command(user_id, conversation, line, content)
        except SlackError as error:
            reply = self._reply_privately(
                conversation, user_id, f'{command} failed with the error "{error.code}"'
            )
            return {**result, **reply, "ok": False, "error": error.code, "details": error.messages}
        return {**result, "text": message["text"], "message": message}

    def _answer_command(
        self, user_id: str, conversation: Conversation, line: str, content: Json
    ) -> Json:
        text, blocks = check_content(content)
        messages = self._platform.messages
        if content.get("response_type") == "in_channel":
            messages.post(conversation, {"user": user_id, "text": line, "subtype": "slash_command"})
            return messages.post_as_app(conversation, {"text": text, "blocks": blocks})
        return messages.post_ephemeral(
            conversation, user_id, {**messages.app_author(), "text": text, "blocks": blocks}
        )

    # --- a click, a choice ---

    async def act(
        self,
        user_id: str,
        *,
        action_id: str,
        channel: str | None = None,
        message_ts: str | None = None,
        view_id: str | None = None,
        block_id: str | None = None,
        value: Any = None,
        values: Json | None = None,
    ) -> Json:
        """A pressed button or a choice, in a message or a view; `values` holds the other inputs."""
        if view_id is not None:
            owner, view = self._platform.views.find(view_id)
            if owner != user_id:
                raise SlackError("not_found")
            block, element = find_element(view["blocks"], action_id, block_id)
            fill_state(view, values or {})
            fill_state(view, {block["block_id"]: {action_id: value}})
            payload = self._payloads.view_action(user_id, view, block, element, value)
        else:
            conversation = self._entered(user_id, channel or "")
            message = self._seen_message(user_id, conversation, message_ts or "")
            block, element = find_element(message.get("blocks", []), action_id, block_id)
            payload = self._payloads.message_action(
                user_id, conversation, message, block, element, value
            )
        answer = await self._platform.app.send("interactive", "block_actions", payload)
        result: Json = {
            "ok": not answer.problem,
            "ack_ms": round(answer.duration_ms, 2),
            "payload": payload,
        }
        return {**result, "error": answer.problem} if answer.problem else result

    async def load_options(
        self,
        user_id: str,
        *,
        action_id: str,
        query: str,
        view_id: str | None = None,
        channel: str | None = None,
        message_ts: str | None = None,
        block_id: str | None = None,
    ) -> Json:
        """The options of an external select while the person types."""
        if view_id is not None:
            _, view = self._platform.views.find(view_id)
            block, element = find_element(view["blocks"], action_id, block_id)
            payload = self._payloads.suggestion(user_id, block, element, query, view=view)
        else:
            conversation = self._entered(user_id, channel or "")
            message = self._seen_message(user_id, conversation, message_ts or "")
            block, element = find_element(message.get("blocks", []), action_id, block_id)
            payload = self._payloads.suggestion(
                user_id, block, element, query, place=(conversation, message)
            )
        answer = await self._platform.app.send("interactive", "block_suggestion", payload)
        content = answer.json or {}
        findings = Findings()
        options: list[Json] = content.get("options") or []
        for group in content.get("option_groups") or []:
            options = [*options, *group.get("options", [])]
        if options:
            check_options(options, "/options", findings, 100)
        if answer.problem or findings:
            return {
                "ok": False,
                "error": answer.problem or "invalid_options",
                "details": findings.messages,
                "options": [],
            }
        return {"ok": True, "ack_ms": round(answer.duration_ms, 2), **content, "options": options}

    # --- modals and the home tab ---

    async def submit(self, user_id: str, view_id: str, values: Json | None = None) -> Json:
        """`values` by block_id (or action_id alone); omitted inputs keep their value."""
        owner, view = self._platform.views.find(view_id)
        stack = self._platform.views.stack(user_id)
        if owner != user_id or not stack or stack[-1]["id"] != view["id"]:
            raise SlackError("not_found")
        fill_state(view, values or {})
        errors = missing_inputs(view)
        if errors:
            return {"ok": False, "errors": errors, "sent": False}
        payload = self._payloads.view_submission(user_id, view)
        answer = await self._platform.app.send("interactive", "view_submission", payload)
        result: Json = {
            "ok": not answer.problem,
            "ack_ms": round(answer.duration_ms, 2),
            "payload": payload,
        }
        if answer.problem:
            return {
                **result,
                "error": answer.problem,
                "text": "We had some trouble connecting. Try again?",
            }
        try:
            return {**result, **self._follow_submission(user_id, view, answer)}
        except SlackError as error:
            return {**result, "ok": False, "error": error.code, "details": error.messages}

    def _follow_submission(self, user_id: str, view: Json, answer: Answer) -> Json:
        content = answer.json or {}
        views = self._platform.views
        match content.get("response_action"):
            case None:
                views.close(user_id, all_of_them=False)
                return {"closed": True}
            case "errors":
                known = {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
                errors = content.get("errors") or {}
                if not errors or not set(errors) <= known:
                    raise SlackError(
                        "invalid_errors",
                        [f"[ERROR] no input block {block_id}" for block_id in set(errors) - known],
                    )
                return {"ok": False, "errors": errors}
            case "update":
                return {"view": views.update(view["id"], content.get("view") or {})}
            case "push":
                return {"view": views.push(user_id, content.get("view") or {})}
            case "clear":
                views.close(user_id, all_of_them=True)
                return {"closed": True}
            case other:
                raise SlackError(
                    "invalid_response_action", [f"[ERROR] unknown response_action {other}"]
                )

    async def close_view(self, user_id: str, *, all_of_them: bool = False) -> Json:
        for view in self._platform.views.close(user_id, all_of_them=all_of_them):
            if view["notify_on_close"]:
                payload = self._payloads.view_closed(user_id, view, is_cleared=all_of_them)
                self._later(self._send_quietly("view_closed", payload))
        return {"ok": True}

    async def open_home(self, user_id: str) -> Json:
        conversation = self._platform.workspace.direct_message(
            self._platform.workspace.person(user_id).id
        )
        view = self._platform.views.home(user_id)
        event: Json = {
            "type": "app_home_opened",
            "user": user_id,
            "channel": conversation.id,
            "tab": "home",
        }
        if view is not None:
            event["view"] = view
        self._notify("app_home_opened", event)
        return {"ok": True, "view": view}

    # --- events ---

    def _tell_of_message(self, conversation: Conversation, message: Json) -> None:
        workspace = self._platform.workspace
        common: Json = {
            **{key: message[key] for key in ("user", "text", "ts", "team")},
            **({"thread_ts": message["thread_ts"]} if "thread_ts" in message else {}),
            "channel": conversation.id,
            "event_ts": message["ts"],
        }
        bot_is_here = workspace.bot.id in conversation.members
        if conversation.is_im:
            self._notify("message.im", {"type": "message", **common, "channel_type": "im"})
            return
        if not bot_is_here:
            if mentions(message["text"], workspace.bot.id):
                text = "The app is not in this channel, so it does not see this. Invite it first."
                self._reply_privately(conversation, message["user"], text)
            return
        if mentions(message["text"], workspace.bot.id):
            self._notify("app_mention", {"type": "app_mention", **common})
        self._notify("message.channels", {"type": "message", **common, "channel_type": "channel"})

    def _notify(self, subscription: str, event: Json) -> None:
        if subscription in self._platform.manifest.events:
            self._later(self._send_event(self._payloads.event(event)))

    async def _send_event(self, payload: Json) -> None:
        """Repeats an event up to three times, with the same event_id, until the app replies 200."""
        name = payload["event"]["type"]
        answer = await self._platform.app.send("events_api", name, payload)
        for number, wait in enumerate(self._platform.settings.event_retry_seconds, start=1):
            if not answer.problem or answer.headers.get("x-slack-no-retry") == "1":
                return
            reason = {"operation_timeout": "http_timeout"}.get(
                answer.problem, "http_error" if answer.status else "connection_failed"
            )
            await asyncio.sleep(wait)
            answer = await self._platform.app.send("events_api", name, payload, (number, reason))

    async def verify_url(self) -> bool:
        """Slack's url_verification: the app must send the challenge back."""
        payload = {
            "type": "url_verification",
            "token": self._platform.settings.verification_token,
            "challenge": "c0ffee",
        }
        answer = await self._platform.app.send("events_api", "url_verification", payload)
        echoed = (
            answer.json.get("challenge")
            if answer.json is not None
            else answer.body.strip().strip('"')
        )
        return not answer.problem and echoed == "c0ffee"

    async def _send_quietly(self, name: str, payload: Json) -> None:
        await self._platform.app.send("interactive", name, payload)

    def _later(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # --- places ---

    def _entered(self, user_id: str, channel: str) -> Conversation:
        person = self._platform.workspace.person(user_id)
        conversation = self._platform.workspace.conversation(channel)
        if person.id not in conversation.members:
            raise SlackError("not_in_channel")
        if conversation.is_archived:
            raise SlackError("is_archived")
        return conversation

    def _seen_message(self, user_id: str, conversation: Conversation, ts: str) -> Json:
        ephemeral = conversation.ephemerals.get(ts)
        if ephemeral is not None and ephemeral["ephemeral_to"] == user_id:
            return ephemeral
        return self._platform.workspace.message(conversation, ts)

    def _reply_privately(
        self, conversation: Conversation, user_id: str, text: str, thread_ts: str | None = None
    ) -> Json:
        """A message from Slackbot to one person."""
        author = {"user": "USLACKBOT", "username": "Slackbot"}
        message = self._platform.messages.post_ephemeral(
            conversation, user_id, {**author, "text": text}, thread_ts
        )
        return {"ok": False, "text": text, "message": message, "error": "not_sent"}
