"""What people see who use the service: their todos, their tasks, their account."""
