"""A call becomes a row, and the row a message of the broker."""
