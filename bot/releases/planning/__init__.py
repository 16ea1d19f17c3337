"""Before the first write: what a plan is made from, and why there may be none.

Belongs here: the draft that every strategy starts from, the as-found snapshot, capacity and
deadlines, quotas, the choice of an undo, and refusals that hold for every strategy. Does not
belong here: the steps of one strategy (``strategies``), or carrying a plan out (``engine``).
"""
