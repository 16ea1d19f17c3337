"""files.*: the upload in three steps - ask for a URL, send the bytes there, complete."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.platform import Platform
from sandbox.slack.rate_limits import TIER_4
from sandbox.slack.web_api.chat import writable
from sandbox.slack.web_api.methods import method, required
from sandbox.slack.workspace import File

Json = dict[str, Any]

MAX_BYTES = 20 * 1024 * 1024


@method("files.getUploadURLExternal", "files:write", rate=TIER_4)
def get_upload_url(platform: Platform, arguments: Json) -> Json:
    name = required(arguments, "filename")
    length = required(arguments, "length")
    if not length.isdigit() or not 0 < int(length) <= MAX_BYTES:
        raise SlackError("invalid_arguments", ["[ERROR] length must be between 1 and 20 MiB"])
    file_id = platform.workspace.next_id("F")
    platform.workspace.files[file_id] = File(file_id, name, name, int(length))
    return {"upload_url": f"{platform.base_url}/upload/v1/{file_id}", "file_id": file_id}


@method("files.completeUploadExternal", "files:write", rate=TIER_4)
def complete_upload(platform: Platform, arguments: Json) -> Json:
    listed = arguments.get("files")
    if not isinstance(listed, list) or not listed:
        raise SlackError("invalid_arguments", ["[ERROR] missing required field: files"])
    files: list[File] = []
    for item in listed:
        file = platform.workspace.files.get(str(item.get("id")))
        if file is None or file.content is None:
            raise SlackError("file_not_found")
        if file.is_complete:
            raise SlackError("file_update_failed")
        file.title = item.get("title") or file.name
        files.append(file)
    channels = [
        channel
        for channel in str(arguments.get("channel_id") or arguments.get("channels") or "").split(
            ","
        )
        if channel
    ]
    places = [writable(platform, {"channel": channel}) for channel in channels]
    for place in places:
        for file in files:
            file.channels.append(place.id)
        message = {
            "text": str(arguments.get("initial_comment") or ""),
            "files": [platform.workspace.file_json(file) for file in files],
            "upload": True,
        }
        platform.messages.post_as_app(place, message, str(arguments.get("thread_ts") or "") or None)
    for file in files:
        file.is_complete = True
    return {"files": [platform.workspace.file_json(file) for file in files]}
