"""`make soak`: many apps are released at random on the real control plane for minutes while the
invariants are watched.

Belongs here: the people of the soak, the spectator that records every change of an object, and the
figures. The invariants are shared with the fault runs (tests/faults/invariants.py).
"""
