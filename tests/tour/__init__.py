"""A scripted conversation through the sandbox: it sends what a browser sends and reads what people
and kubectl would see.

Imports nothing of bot, jobs or sandbox. Each story is a file with `tell(tour)`.
"""
