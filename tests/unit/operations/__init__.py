"""Operations on doubles at every port: what is told to whom, and what is remembered. Not: what
Slack or Redis make of it."""
