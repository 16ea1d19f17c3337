"""Machines that are told."""
