"""`rundramatiq`: keeps worker processes running."""
