"""Users and their refresh sessions."""

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person who signs in."""

    email = models.EmailField("email address", unique=True)
