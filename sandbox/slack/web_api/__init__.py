"""The Web API: `POST /api/<method>`.

Belongs here: one function per Slack method, in files by family, and the dispatcher that checks
token, scope, faults and rates. Does not belong here: what people do (see `interactions`) and how
blocks are checked (see `block_rules`).
"""
