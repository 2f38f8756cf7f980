"""Make the database ready for the service: its tables, and in development something to see."""

import psycopg
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from project.database.access import this_connection
from project.registry import registry
from todo.services import create_todo

#: For a server that somebody else runs: it is up already, or the person who waits is told.
TIMEOUT_SECONDS = 5
DEMO_TODOS = {
    "Read the README": False,
    "Complete this todo": False,
    "Run the cleanup": False,
    "Start everything with make run": True,
    "Sign in to the admin": True,
}


class NotAnsweringError(Exception):
    """A server that somebody else runs does not answer; the message says what to do."""


def check_servers_answer() -> None:
    """Connect to the database and the broker once.

    Raises:
        NotAnsweringError: If one of them does not answer.
    """
    try:
        psycopg.connect(**connection.get_connection_params() | {"connect_timeout": TIMEOUT_SECONDS}).close()
    except psycopg.Error as error:
        raise NotAnsweringError(_not_answering("DATABASE_URL", error)) from error
    client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=TIMEOUT_SECONDS, retry=None)
    try:
        client.ping()
    except redis.RedisError as error:
        raise NotAnsweringError(_not_answering("REDIS_URL", error)) from error
    finally:
        client.close()


def prepare_database() -> None:
    """Migrate, add the demo's people when there is nobody, and send a first ping."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)
    if settings.ENVIRONMENT_NAME == "development":
        add_demo_people()
    registry.ping.send()
    this_connection().close_pool()


@transaction.atomic
def add_demo_people() -> bool:
    """Add an admin and a user with todos, unless the database has users.

    Returns:
        Whether they were added.
    """
    users = get_user_model()
    if users.objects.exists():
        return False
    users.objects.create_superuser(username="admin", email="admin@example.com", password="admin")  # noqa: S106
    demo = users.objects.create_user(username="demo", email="demo@example.com", password="demo")  # noqa: S106
    for title, completed in DEMO_TODOS.items():
        create_todo(user=demo, title=title, completed=completed)
    return True


def _not_answering(variable: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0].removeprefix("connection failed: ")
    return f"The server in {variable} does not answer ({reason}). Start it, or unset {variable} to run an embedded one."
