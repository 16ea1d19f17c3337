"""What people see: texts of each kind of card and reply, Slack's limits, escaping."""
