"""Is one version worse than the other? Arithmetic on what pods answered, valid however often it is
looked at.

Belongs here: pure statistics on counts of requests and failures, each with its source and a worked
example. Not: where the counts come from, when they are asked for, or what a verdict does to a
release.
"""
