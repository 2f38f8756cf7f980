"""Coroutines: their messages run side by side on one event loop per worker process."""
