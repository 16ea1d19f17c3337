"""`make soak`: many apps are released at random on the real control plane, for minutes, and the
invariants are watched all the while.

Here belong: the people of the soak, the spectator that notes every change of an object, and the
figures. What must hold is shared with the fault runs (tests/faults/invariants.py).
"""
