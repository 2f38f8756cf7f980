"""How a database session is set for those who use it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """How a session is set while somebody uses it.

    Args:
        settings: PostgreSQL's run-time parameters and their values.
        is_lent: Whether it is lent to code that may leave it otherwise; it is put right after use then.
    """

    settings: tuple[tuple[str, str], ...] = ()
    is_lent: bool = False

    def __or__(self, other: Session) -> Session:
        settings = dict(self.settings) | dict(other.settings)
        return Session(tuple(settings.items()), is_lent=self.is_lent or other.is_lent)

    def to_sql(self, *, scope: str = "SESSION") -> str:
        """Return the statements that set it.

        Args:
            scope: `SESSION`, or `LOCAL` for the rest of the transaction.
        """
        return "; ".join(f"SET {scope} {name} = '{value}'" for name, value in self.settings)


#: How every session begins, whatever is set for the role or the database: Django reads and writes times as UTC, and
#: whoever waits for a lock here relies on seeing what was committed meanwhile.
BEGIN = "SET TimeZone = 'UTC'; SET default_transaction_isolation = 'read committed'"
#: What undoes what whoever used a session may have left.
RESET = (
    f"SET SESSION AUTHORIZATION DEFAULT; RESET ALL; {BEGIN}; CLOSE ALL; UNLISTEN *; "
    "SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES"
)
#: What cannot be undone, because the driver remembers it too.
IS_PREPARED = "SELECT EXISTS (SELECT FROM pg_prepared_statements)"
