"""What operators do to runs."""
