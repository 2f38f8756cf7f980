"""Django's PostgreSQL backend with a pool of connections, and what all database code here shares."""
