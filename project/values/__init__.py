"""Values that come from outside, or go into the database."""
