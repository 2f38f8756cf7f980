"""Who may look at runs, queues and processes, and who may repair them: one answer for every door."""

from django.contrib.auth.models import AbstractUser, AnonymousUser


def may_repair(user: AbstractUser | AnonymousUser) -> bool:
    """Tell whether somebody may retry, discard and cancel runs, and pause queues."""
    return user.is_staff and user.has_perm("tasks.change_taskrun")


def may_look(user: AbstractUser | AnonymousUser) -> bool:
    """Tell whether somebody may look at everybody's runs, and at queues and processes."""
    return may_repair(user) or (user.is_staff and user.has_perm("tasks.view_taskrun"))
