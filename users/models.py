"""Users and the refresh sessions that keep them signed in."""

from collections.abc import Iterator
from hashlib import sha256
from hmac import compare_digest
from typing import ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from project.values.ids import uuid7

NAME_CONSTRAINT = "user_username_any_case"
EMAIL_CONSTRAINT = "user_email_any_case"


class Users(UserManager["User"]):
    """Finds users by name whatever its case, as the unique constraint compares them."""

    use_in_migrations = False

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user of that name; sign-in, the admin's included, comes through here."""
        return self.get(username__iexact=User.normalize_username(username or ""))


class User(AbstractUser):
    """A person who signs in; neither name nor e-mail may differ from another's by case alone."""

    email = models.EmailField("email address")
    weekly_digest = models.BooleanField(
        default=True, db_default=True, help_text="Whether they get a mail about their todos on Mondays."
    )
    welcomed_at = models.DateTimeField(null=True, blank=True, editable=False)
    digest_week = models.DateField(
        null=True, blank=True, editable=False, help_text="The Monday of the week whose digest they got last."
    )
    digest_run = models.UUIDField(null=True, blank=True, editable=False, help_text="The run that mails that digest.")

    sign_outs = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="How often they have signed out everywhere."
    )

    objects: ClassVar[Users] = Users()

    class Meta(AbstractUser.Meta):
        abstract = False
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # UPPER, because that is what Django's iexact compares: look-ups use the same index.
            models.UniqueConstraint(
                Upper("username"),
                name=NAME_CONSTRAINT,
                violation_error_message="A user with that username already exists.",
            ),
            models.UniqueConstraint(
                Upper("email"),
                name=EMAIL_CONSTRAINT,
                violation_error_message="A user with that email address already exists.",
            ),
        ]

    def get_session_auth_hash(self) -> str:
        """Return what a session must still fit: it ends with the password, and when they sign out everywhere."""
        return self._after_sign_outs(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """Return the same for each secret key that was in use before."""
        return map(self._after_sign_outs, super().get_session_auth_fallback_hash())

    def _after_sign_outs(self, auth_hash: str) -> str:
        # A plain hash of a keyed one: it has to come out the same for a key that was in use before.
        return sha256(f"{auth_hash}:{self.sign_outs}".encode()).hexdigest() if self.sign_outs else auth_hash


class RefreshSession(models.Model):
    """One sign-in of one client: a family of refresh tokens, of which only the newest is good.

    A token is 32 random bytes. Its first half names the family and stays; the second half is new with each
    rotation. So a token with a known first half and the wrong second half is one that was rotated away, and
    no list of old tokens is needed to see that.

    A trigger revokes a user's sessions when their password changes or they become inactive, however that is written.
    A sign-in that was under way meanwhile is seen by its `auth_hash`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="refresh_sessions")
    family_hash = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token's first half.")
    token_hash = models.CharField(max_length=64, help_text="SHA-256 of the newest token.")
    auth_hash = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Keyed hash of the password that opened it; another password ends it.",
    )
    user_agent = models.CharField(max_length=300, blank=True)
    ip_address = models.GenericIPAddressField("IP address", null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    rotations = models.PositiveIntegerField(default=0, help_text="How often the token was exchanged for a new one.")

    class Meta:
        ordering = ("-id",)
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["expires_at"], name="session_by_expiry"),
            models.Index(fields=["revoked_at"], name="session_revoked", condition=Q(revoked_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"session {self.id}"

    @property
    def is_active(self) -> bool:
        """Whether its newest token can still be exchanged."""
        return self.revoked_at is None and self.expires_at > timezone.now()

    @property
    def fits_password(self) -> bool:
        """Whether the user's password is still the one that opened it."""
        return compare_digest(self.auth_hash, self.user.get_session_auth_hash())
