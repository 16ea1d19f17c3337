"""The pure functions of bot.releases."""
