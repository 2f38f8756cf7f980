"""The cleanup of completed todos."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from project.deletion import delete_in_batches
from tests.eventually import eventually
from tests.locks import waiting_for_locks
from tests.people import Api, a_user
from todo import services
from todo.models import Todo
from todo.schemas import CleanupResult
from users.models import User

pytestmark = pytest.mark.django_db


def todos(user: User, *, done: int = 0, undone: int = 0) -> None:
    Todo.objects.bulk_create(Todo(user=user, title="todo", completed=number < done) for number in range(done + undone))


def test_completed_todos_of_active_users_go_and_everything_else_stays() -> None:
    ada, bob, gone = a_user(), a_user(), a_user(is_active=False)
    todos(ada, done=3, undone=2)
    todos(bob, undone=1)
    todos(gone, done=4)
    assert services.cleanup() == CleanupResult(users_processed=2, todos_deleted=3, errors=0)
    assert list(ada.todos.values_list("completed", flat=True)) == [False, False]
    assert (bob.todos.count(), gone.todos.count()) == (1, 4)


def test_a_second_cleanup_finds_nothing() -> None:
    todos(a_user(), done=3)
    services.cleanup()
    assert services.cleanup() == CleanupResult(users_processed=1, todos_deleted=0, errors=0)


def test_one_users_cleanup_leaves_the_others_alone() -> None:
    ada, bob = a_user(), a_user()
    todos(ada, done=2, undone=1)
    todos(bob, done=2)
    assert services.cleanup_for_user(user_id=ada.pk) == CleanupResult(users_processed=1, todos_deleted=2, errors=0)
    assert (ada.todos.count(), bob.todos.count()) == (1, 2)


@pytest.mark.parametrize("who", ["inactive", "unknown"])
def test_the_cleanup_of_a_user_who_is_not_there_does_nothing(who: str) -> None:
    user = a_user(is_active=False)
    todos(user, done=2)
    user_id = user.pk if who == "inactive" else user.pk + 1000
    assert services.cleanup_for_user(user_id=user_id) == CleanupResult(users_processed=0, todos_deleted=0, errors=0)
    assert user.todos.count() == 2


def test_the_number_of_statements_does_not_depend_on_the_number_of_users() -> None:
    for _ in range(30):
        todos(a_user(), done=2)
    with CaptureQueriesContext(connection) as captured:
        services.cleanup()
    assert sum(query["sql"].startswith("DELETE") for query in captured) == 1
    assert len(captured) < 15


def test_no_transaction_is_larger_than_a_batch() -> None:
    user = a_user()
    todos(user, done=25, undone=3)
    with CaptureQueriesContext(connection) as captured:
        deletion = delete_in_batches(Todo.objects.filter(completed=True), size=10)
    assert (deletion.deleted, deletion.errors, user.todos.count()) == (25, 0, 3)
    assert sum(query["sql"].startswith("DELETE") for query in captured) == 3


@pytest.mark.django_db(transaction=True)
def test_a_todo_that_is_being_changed_is_left_for_the_next_cleanup() -> None:
    user = a_user()
    todos(user, done=3)
    todo = user.todos.first()
    assert todo
    with _locked_elsewhere(todo):
        assert services.cleanup().todos_deleted == 2
    assert services.cleanup().todos_deleted == 1


@pytest.mark.django_db(transaction=True)
def test_a_todo_that_is_reopened_while_the_cleanup_waits_for_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.deletion.LOCK_TIMEOUT", "10s")
    user = a_user()
    todos(user, done=3)
    reopened = user.todos.first()
    assert reopened
    with _locked_elsewhere(reopened, until=lambda: waiting_for_locks() == 1, completed=False):
        assert services.cleanup().todos_deleted == 2
    assert user.todos.get() == reopened


@pytest.mark.django_db(transaction=True)
def test_a_todo_is_not_changed_after_the_cleanup_took_it() -> None:
    """Todos are completed and reopened while cleanups run: what a client was told is what there is."""
    user = a_user()
    todos(user, undone=100)
    stop = Event()

    def clean() -> None:
        while not stop.is_set():
            services.cleanup()
        connections.close_all()

    cleaner = Thread(target=clean)
    cleaner.start()
    try:
        answers = [_flip(user, pk) for pk in list(user.todos.values_list("pk", flat=True))]
    finally:
        stop.set()
        cleaner.join()
    assert set(answers) <= {(200, 200), (200, 404)}
    assert user.todos.filter(completed=False).count() == answers.count((200, 200)) == user.todos.count()


def _flip(user: User, todo_id: int) -> tuple[int, int]:
    api = Api(user)
    done = api.patch(f"/v1/todos/{todo_id}", {"completed": True}).status_code
    return done, api.patch(f"/v1/todos/{todo_id}", {"completed": False}).status_code


@pytest.mark.django_db(transaction=True)
def test_a_batch_the_database_refuses_is_counted_and_the_others_go() -> None:
    user = a_user()
    todos(user, done=30)
    keys = list(user.todos.order_by("pk").values_list("pk", flat=True))
    with _referenced(keys[15]):
        deletion = delete_in_batches(Todo.objects.filter(completed=True), size=10)
    assert (deletion.deleted, deletion.errors) == (20, 1)
    assert list(user.todos.order_by("pk").values_list("pk", flat=True)) == keys[10:20]


@contextmanager
def _locked_elsewhere(todo: Todo, *, until: Callable[[], bool] | None = None, **changes: bool) -> Iterator[None]:
    """Change ``todo`` in a transaction of another thread, which commits at the end of the block or at ``until``."""
    locked, release = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            Todo.objects.select_for_update().get(pk=todo.pk)
            Todo.objects.filter(pk=todo.pk).update(**{"title": "changed", **changes})
            locked.set()
            eventually(until or release.is_set)
        connections.close_all()

    holder = Thread(target=hold)
    holder.start()
    assert locked.wait(10)
    try:
        yield
    finally:
        release.set()
        holder.join()


@contextmanager
def _referenced(todo_id: int) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE keeps_todo (todo_id bigint REFERENCES todo_todo (id))")
        cursor.execute("INSERT INTO keeps_todo VALUES (%s)", [todo_id])
        try:
            yield
        finally:
            cursor.execute("DROP TABLE keeps_todo")
