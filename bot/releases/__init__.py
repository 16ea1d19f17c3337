"""What is a release, and what happens next? The pure core.

Belongs here: the release record, its plan, one observation of the cluster, the actions that
change it, and the rules that connect them. Does not belong here: clocks, ids, environment, logs,
Slack, Redis, Kubernetes clients. Time is an argument (integer milliseconds of Redis TIME),
templates are plain JSON values, and everything else is a frozen dataclass.
"""
