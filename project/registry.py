"""Every task of the service, typed: what views, the clock, the admin and scripts send from."""

from notifications import tasks as notifications
from project.health import tasks as health
from project.mail import tasks as mail
from project.tasks.upkeep import tasks as machinery
from reports import tasks as reports
from todo import tasks as todo
from users import tasks as users


class TasksRegistry:
    """One attribute for each task, with the types of its arguments and its result."""

    ping = health.ping
    send_email = mail.send_email
    notifications_send_welcome_email = notifications.send_welcome_email
    notifications_send_weekly_digest = notifications.send_weekly_digest
    notifications_send_digest = notifications.send_digest
    notifications_finish_weekly_digest = notifications.finish_weekly_digest
    todo_cleanup = todo.cleanup
    todo_cleanup_for_user = todo.cleanup_for_user
    todo_remind = todo.remind
    reports_export_todos = reports.export_todos
    reports_prune_exports = reports.prune_exports
    cleanup_sessions = users.cleanup_sessions
    users_clear_expired_logins = users.clear_expired_logins
    prune = machinery.prune


registry = TasksRegistry()
