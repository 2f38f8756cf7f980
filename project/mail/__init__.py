"""Mail: letters, how they are handed to an SMTP server, and what its answers mean."""
