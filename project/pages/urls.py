"""The addresses of the pages."""

from django.urls import path

from project.pages import account, entrance, exports, my_tasks, todos

urlpatterns = [
    path("", todos.todos, name="todos"),
    path("todos/add/", todos.add, name="add-todo"),
    path("todos/undo/", todos.undo_delete, name="undo-delete"),
    path("todos/clean-up/", todos.clean_up, name="clean-up"),
    path("todos/export/", exports.order_export, name="export-todos"),
    path("exports/<uuid:export_id>/", exports.download_export, name="export"),
    path("todos/<int:todo_id>/edit/", todos.edit, name="edit-todo"),
    path("todos/<int:todo_id>/tick/", todos.tick, name="tick-todo"),
    path("todos/<int:todo_id>/delete/", todos.delete, name="delete-todo"),
    path("tasks/", my_tasks.my_tasks, name="my-tasks"),
    path("tasks/<uuid:run_id>/", my_tasks.my_task, name="my-task"),
    path("tasks/<uuid:run_id>/cancel/", my_tasks.cancel, name="cancel-task"),
    path("sign-in/", entrance.sign_in, name="sign-in"),
    path("sign-up/", entrance.sign_up, name="sign-up"),
    path("sign-out/", entrance.sign_out, name="sign-out"),
    path("account/", account.account, name="account"),
    path("account/sign-out-everywhere/", account.sign_out_everywhere, name="sign-out-everywhere"),
    path("account/sessions/<uuid:session_id>/end/", account.end_session, name="end-session"),
]
