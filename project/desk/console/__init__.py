"""What `manage.py tasks` does, one module for each kind of thing."""
