"""Defects that must not go unnoticed: each is seeded alone into a copy of the tree, and a named
test has to fail.

Belongs here: the list of defects and its runner. Not: tests of the product, which live beside their
subject.
"""
