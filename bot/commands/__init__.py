"""What a person can type, and what it means. Pure.

Belongs here: the one table of commands, from which come the parser, the help, the permissions and
the Slack manifest; the clean-up of what keyboards and Slack make of typed text; and text -> command
or a mistake with the nearest valid form. Does not belong here: carrying a command out
(bot.operations), who may (bot.policy), and how help looks in Slack (bot.slack).
"""
