"""What Slack sends: each listener at most 15 lines that acknowledge, parse the payload, call one
operation, and reply.

Belongs here: reading payloads. Does not belong here: deciding anything, or talking to Slack beyond
``views.open`` before the acknowledgement is out.
"""
