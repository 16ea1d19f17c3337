"""Answers that need a cluster, given by the query worker: one question a file.

Belongs here: reading and showing what runs, plans and previews, and the few direct acts that
need an observation before they can become a release. Does not belong here: advancing a release
(``lifecycle``), or parsing what was typed (``intake``).
"""
