"""Every task's dotted name: the wire contract between senders, workers and the clock."""

from enum import StrEnum


class TaskName(StrEnum):
    """The names messages carry; renaming one orphans the messages that are under way."""

    PING = "ping"
    SEND_EMAIL = "send_email"
    NOTIFICATIONS_SEND_WELCOME_EMAIL = "notifications.send_welcome_email"
    NOTIFICATIONS_SEND_WEEKLY_DIGEST = "notifications.send_weekly_digest"
    NOTIFICATIONS_SEND_DIGEST = "notifications.send_digest"
    NOTIFICATIONS_FINISH_WEEKLY_DIGEST = "notifications.finish_weekly_digest"
    TODO_CLEANUP = "todo.cleanup"
    TODO_CLEANUP_FOR_USER = "todo.cleanup_for_user"
    TODO_REMIND = "todo.remind"
    REPORTS_EXPORT_TODOS = "reports.export_todos"
    REPORTS_PRUNE_EXPORTS = "reports.prune_exports"
    CLEANUP_SESSIONS = "cleanup_sessions"
    USERS_CLEAR_EXPIRED_LOGINS = "users.clear_expired_logins"
    PRUNE = "tasks.prune"
