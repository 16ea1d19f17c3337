"""Machines that are told of releases: CDEvents, deployments at GitHub and at GitLab.

Belongs here: the Receivers port over HTTP, and what each format makes of an event. Does not belong
here: when an event is sent, and again after a failure (bot.operations.delivery).
"""
