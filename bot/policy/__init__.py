"""Who may do what, and when? Permissions, approvals, freezes, and what may be shown. Pure.

``decision`` is the one that others ask; it is composed of the rules beside it.

Belongs here: rules about people, roles and releases. Does not belong here: finding people
(ports.Directory) or storing votes (the store).
"""
