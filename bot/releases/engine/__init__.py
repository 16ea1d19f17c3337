"""What happens next: the only room that changes a release's phase.

Belongs here: ``decide`` (an observation came in), ``respond`` (a person asked), and the parts
they share: gates, drift, transitions, reconciling goals, probes and reminders. Does not belong
here: the name of a step, gate or strategy; what differs between strategies is data of the plan.
"""
