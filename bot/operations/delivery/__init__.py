"""From the outbox to Slack: cards, announcements, and what changed outside Pilothouse.

Belongs here: posting, editing, finding a message again, and the budgets of Slack's rate limits.
Does not belong here: what a message says (``bot.slack.blocks``), or a reply to one person
(``intake`` and ``queries`` return those).
"""
