"""What came in from Slack, up to the acknowledgement: one typed command, or one click.

Belongs here: parse, authorise from the cache, deduplicate, answer at once or queue the work.
Does not belong here: any call to a cluster, and anything that may take longer than Slack's
three seconds (``queries`` and ``lifecycle`` do that in a worker).
"""
