"""This service's durable lane over a table whose history stays."""

from tests.benchmarks.systems.ours_rows import make_tables, pending, send, send_many, send_stamp

__all__ = ["make_tables", "pending", "send", "send_many", "send_stamp"]
