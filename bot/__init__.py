"""Pilothouse: releases on Kubernetes from Slack.

The packages, innermost first; imports point inwards only:

- ``bot.releases``    what is a release, and what happens next? Pure, standard library only.
- ``bot.policy``      who may do what; approvals, freezes. Pure.
- ``bot.commands``    what a person can type, and what it means. Pure.
- ``bot.ports``       the few Protocols behind which the outside world stands.
- ``bot.stop_signal`` SIGINT and SIGTERM as a flag.
- ``bot.operations``  use cases, one verb a file, written against the ports.
- ``bot.cluster``     Kubernetes behind the Cluster port.
- ``bot.store``       Redis behind the ReleaseStore port.
- ``bot.work_queue``  RQ behind the WorkQueue port.
- ``bot.slack``       Slack: listeners in, messages out, blocks rendered.
- ``bot.receivers``   machines that are told: CDEvents, GitHub, GitLab.
- ``bot.api``         the door for machines: releases over HTTP, with tokens.
- ``bot.wiring``      the only place that constructs adapters.
- ``bot.terminal``    releases as a table in a terminal.
- ``bot.deploy``      a release from CI: a client of the API, in ``bot.api_client``.
- ``bot.doctor``      whether everything that Pilothouse stands on is as it must be.
"""
