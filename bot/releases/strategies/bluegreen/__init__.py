"""Blue/green: a second Deployment at full size, and one patch that switches the Service.

Belongs here: whatever is true of blue/green alone: its plan, its rollback, the body of the
candidate, and the choice of the selector key that tells the two apart.
"""
