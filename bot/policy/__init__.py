"""Who may do what, and when: permissions, approvals, freezes, and what may be shown. Pure.

Belongs here: rules over people, roles and releases. Does not belong here: looking people up
(ports.Directory), storing votes.
"""
