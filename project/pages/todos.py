"""The page of one's own todos.

Every form answers with a redirect to the page, or with the page itself and what is wrong, so it works without scripts;
with them, htmx puts the new page into the place of the old one and keeps the focus.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache

from project.pages.forms import TodoForm
from project.pages.runs import recent_runs
from project.pages.signed_in import member, member_page
from project.pages.todo_view import PAGE, View, due_words, pager, tabs
from todo import editing, services
from todo.api import CLEANUPS
from todo.errors import DueTimeError, TodoError
from todo.tasks import cleanup_for_user

#: What a deleted todo is written down with again.
_CONTENT = ("title", "description", "completed")


def todos(request: HttpRequest) -> HttpResponse:
    """Show one's todos; whoever is not signed in is shown how to."""
    if not request.user.is_authenticated:
        return render(request, "pages/welcome.html")
    return _show(request)


@never_cache
def _show(
    request: HttpRequest, *, new: TodoForm | None = None, edited: TodoForm | None = None, view: View | None = None
) -> HttpResponse:
    """Show the page, with a form that was filled in wrong if there is one."""
    user = member(request)
    new = new or TodoForm(auto_id="new-%s")
    view = view or View.of(request.GET)
    matching = view.todos(user)
    count = matching.count()
    on_page = list(matching[view.page * PAGE : (view.page + 1) * PAGE])
    now = timezone.localtime()
    if edited is None and (todo := next((todo for todo in on_page if todo.pk == view.edit), None)):
        edited = TodoForm(instance=todo, auto_id=f"todo-{todo.pk}-%s")
    if edited or "HX-Request" not in request.headers:  # with htmx the focus stays where it was
        (edited or new).fields["title"].widget.attrs["autofocus"] = True
    open_count, done_count = services.count_todos(user=user)
    context = {
        "new": new,
        "edited": edited,
        "view": view,
        "todos": [(todo, due_words(todo, now=now)) for todo in on_page],
        "pager": pager(view, count=count),
        "tabs": tabs(view),
        "open_count": open_count,
        "done_count": done_count,
        "runs": recent_runs(user),
    }
    return render(request, "pages/todos.html", context)


def _post(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Let members alone post to a view; its address typed into a browser leads to the page."""

    @member_page
    @wraps(view)
    def guarded(request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
        if request.method != "POST":
            return redirect("todos")
        try:
            return view(request, *arguments, **options)
        except TodoError:
            messages.error(request, "That todo is not there any more.")
            return _back(request)

    return guarded


@_post
def add(request: HttpRequest) -> HttpResponse:
    """Write down a todo."""
    form = TodoForm(request.POST, auto_id="new-%s")
    if _is_saved(form, lambda: editing.create_todo(user=member(request), **form.cleaned_data)):
        return redirect("todos")
    response = _show(request, new=form, view=View())
    # The form stays as it is otherwise, so that one can go on typing.
    response["HX-Retarget"] = response["HX-Reselect"] = "#page"
    return response


@_post
def edit(request: HttpRequest, todo_id: int) -> HttpResponse:
    """Change a todo."""
    todo = services.get_todo(todo_id=todo_id, user=member(request))
    form = TodoForm(request.POST, instance=todo, auto_id=f"todo-{todo_id}-%s")
    if _is_saved(form, lambda: editing.update_todo(todo_id=todo_id, user=member(request), changes=form.changes)):
        return _back(request)
    before = View.of(QueryDict(request.POST.get("back", "")))
    return _show(request, edited=form, view=View(before.show, before.q, before.page, todo_id))


def _is_saved(form: TodoForm, save: Callable[[], object]) -> bool:
    """Save what a form says, or let the form say why not."""
    if form.is_valid():
        try:
            save()
        except DueTimeError:
            form.refuse_due_time()
    return form.is_valid()


@_post
def tick(request: HttpRequest, todo_id: int) -> HttpResponse:
    """Complete a todo, or open it again."""
    completed = request.POST.get("completed") == "yes"
    editing.update_todo(todo_id=todo_id, user=member(request), changes={"completed": completed})
    return _back(request)


@_post
def delete(request: HttpRequest, todo_id: int) -> HttpResponse:
    """Delete a todo, and offer to take that back."""
    todo = services.get_todo(todo_id=todo_id, user=member(request))
    editing.delete_todo(todo_id=todo_id, user=member(request))
    due_at = todo.due_at.isoformat() if todo.due_at else ""
    request.session["deleted_todo"] = {**{name: getattr(todo, name) for name in _CONTENT}, "due_at": due_at}
    messages.success(request, f"Deleted “{todo.title}”.", extra_tags="undo")
    return _back(request)


@_post
def undo_delete(request: HttpRequest) -> HttpResponse:
    """Write the todo down again that was deleted last."""
    deleted = request.session.pop("deleted_todo", None)
    if deleted is None:
        messages.error(request, "There is nothing to bring back.")
        return _back(request)
    due_at = parse_datetime(deleted["due_at"])
    # Its due time may have passed meanwhile: it is brought back without.
    is_ahead = due_at is not None and due_at > timezone.now()
    editing.create_todo(user=member(request), **{**deleted, "due_at": due_at if is_ahead else None})
    return _back(request)


@_post
def clean_up(request: HttpRequest) -> HttpResponse:
    """Have the completed todos deleted."""
    if CLEANUPS.hit(str(member(request).pk)) is not None:
        messages.error(request, "That was too often in a short time. Wait a minute, then try again.")
    else:
        cleanup_for_user.send(user_id=member(request).pk)
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    return redirect(View.of(QueryDict(request.POST.get("back", ""))).url)
