"""The page of the local Slack in a real browser, with a small app behind it: keyboard, live edits,
phone width, accessibility."""
