"""What every door does with somebody who signs up: the user and their welcome, in one transaction."""

from typing import Any

from django.db import transaction

from project.registry import registry
from users import services
from users.models import User


@transaction.atomic
def sign_up(**fields: Any) -> User:
    """Create a user, who gets a mail that welcomes them.

    Args:
        fields: See `services.register`, also for what is raised.
    """
    user = services.register(**fields)
    registry.notifications_send_welcome_email.send(user_id=user.pk)
    return user
