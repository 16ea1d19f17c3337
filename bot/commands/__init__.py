"""What a person can type, and what it means. Pure.

Belongs here: the one table of commands, the source of the parser, the help, the permissions and the
Slack manifest; undoing what keyboards and Slack do to typed text; turning text into a command, or
into a mistake with the nearest valid form. Does not belong here: carrying a command out
(bot.operations), who may use it (bot.policy), and how help looks in Slack (bot.slack).
"""
