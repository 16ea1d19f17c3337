"""What happens when parts die: processes are really killed, and the server really stops.

Belongs here: tests that end or starve a process from outside. Not: errors that a function returns.
"""
