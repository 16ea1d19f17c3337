"""A local Slack: the platform that a Bolt app talks to, on loopback, with a web page to use it in.

Belongs here: what Slack itself does - the Web API with its limits and rate limits as errors, signed
requests and Socket Mode towards the app, people, channels, messages, modals and home tabs - and the
page that shows it. Does not belong here: anything about releases or Kubernetes. It knows its app
only by the manifest and the payloads.
"""

from sandbox.slack.runner import LocalSlack
from sandbox.slack.settings import SlackSettings

__all__ = ["LocalSlack", "SlackSettings"]
