"""A message is claimed, its task runs, its outcome is recorded."""
