"""What every living process does beside its work."""
