"""Slack: listeners in, messages out.

Belongs here: the Bolt app and how it is served, listeners (acknowledge, parse the payload, one
operation, reply), the Messenger and Directory ports on slack_sdk, and ``blocks``: domain data
rendered as Block Kit, pure. Does not belong here: what a command does (bot.operations), what it
means (bot.commands), and rules about releases.
"""
