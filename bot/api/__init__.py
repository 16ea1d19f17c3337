"""The door for machines: releases started and followed over HTTP, with tokens.

Belongs here: who comes in, the shapes of bodies, refusals with their codes, the stream of events,
and the description of all that (OpenAPI). Does not belong here: what a request does
(bot.operations), and who may do what (bot.policy).
"""
