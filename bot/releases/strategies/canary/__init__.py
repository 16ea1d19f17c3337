"""Canary: a second Deployment behind the same Service, step by step.

Belongs here: whatever is true of a canary alone: its plan, its rollback, how many pods it may
add, and the notes on its plan.
"""
