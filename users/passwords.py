"""How passwords are hashed."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id as OWASP's password storage cheat sheet advises: 19 MiB, two passes, one lane.

    Django's own parameters take 100 MiB for each hash, so that eight sign-ins at once would need more memory than
    a web container should have.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
