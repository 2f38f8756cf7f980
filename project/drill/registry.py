"""The service's tasks and the drill's."""

from project.drill import tasks
from project.registry import TasksRegistry


class DrillRegistry(TasksRegistry):
    """One attribute for each task."""

    execute = tasks.execute
    rated = tasks.rated
    keyed = tasks.keyed
    awaited = tasks.awaited
    refuse = tasks.refuse


registry = DrillRegistry()
