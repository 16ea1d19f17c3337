"""A scripted conversation through the sandbox: it sends what a browser sends and reads what people
and kubectl would see.

Nothing of bot, jobs or sandbox is imported here. Each story is a file with `tell(tour)`.
"""
