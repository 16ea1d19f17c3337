"""What Slack sends. Each listener has at most 15 lines: parse the payload, call one operation,
acknowledge, and reply.

Belongs here: reading payloads. Does not belong here: decisions, and calls to Slack before the
acknowledgement other than ``views.open``.
"""
