"""Doubles at the ports, each passing the same contract suite as the real adapter.

Belongs here: InMemory…, Simulated… and Recording… classes, and jobs for the worker's own tests.
Not: fixtures, builders.
"""
