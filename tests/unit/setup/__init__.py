"""Tests of bot/setup."""
