"""Tests of the start of the command, and of its bill of materials."""
