"""How often the password of one account may be guessed, however many addresses the guesses come from.

Every attempt counts and a success forgets them, so that only failures fill the window. A client that has signed in to
the account before is counted for itself: nobody can lock the owner out of where they usually are, however busily the
rest of the world guesses. From elsewhere the owner waits as long as the guessing goes on, and at most a window longer.
After https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies

Names nobody has are counted alike, so that an answer does not tell which exist.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from project.web.throttle import Window, is_remembered, network_of, remember
from users.errors import TooManyGuessesError
from users.models import User

#: A client that has signed in counts as known for this long: who signs in once a month is not locked out by others.
KNOWN_FOR = timedelta(days=30)
_window = Window("account", limit=lambda: settings.ACCOUNT_RATE_LIMIT)


@dataclass(frozen=True)
class Guess:
    """One attempt to sign in.

    Args:
        account: Stands for the name, whatever its case.
        network: Where it comes from.
        counted_as: The key of the window it counts in.
    """

    account: str
    network: str
    counted_as: tuple[str, ...]

    def was_right(self) -> None:
        """Forget the failures before it, and remember that the owner signs in from here."""
        _window.clear(*self.counted_as)
        remember("known", self.account, self.network, lasts=KNOWN_FOR)


def begin_guess(username: str, *, address: str | None) -> Guess:
    """Count an attempt, before its password is looked at.

    Args:
        username: The name that was given.
        address: Where it came from.

    Raises:
        TooManyGuessesError: If there were too many.
    """
    # As the database compares names, and no longer than a hash.
    name = User.normalize_username(username).upper()
    account, network = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:32], network_of(address)
    counted_as = (account, network) if is_remembered("known", account, network) else (account,)
    wait = _window.hit(*counted_as)
    if wait is not None:
        raise TooManyGuessesError(wait)
    return Guess(account, network, counted_as)
