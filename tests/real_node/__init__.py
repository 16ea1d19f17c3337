"""What only pods that run can show, on real nodes; and the launcher of those nodes itself."""
