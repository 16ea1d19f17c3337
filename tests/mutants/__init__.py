"""Defects that must not slip through: each is seeded alone into a copy of the tree, and a named
test has to fail.

Belongs here: the list of defects and what runs them. Not: tests of the product, which stand beside
what they are about.
"""
