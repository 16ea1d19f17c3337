"""What worker processes run: the RQ entry points, and the processes themselves.

Belongs here: one file of at most 20 lines for each job, and the supervisor with its ticker,
watcher, workers and metrics. Does not belong here: what a job does (bot.operations) and how
anything is stored (bot.store).
"""
