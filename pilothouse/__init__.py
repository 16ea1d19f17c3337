"""The start of the command, under a name that no other distribution has.

Belongs here: making sure that `bot`, `config` and `jobs` are Pilothouse's own before anything of
them is imported, and what the installation consists of. Does not belong here: everything else,
which those packages hold.
"""
