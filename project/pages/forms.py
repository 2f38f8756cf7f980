"""The forms on the pages; what they accept is what the API accepts."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.forms import PasswordChangeForm
from django.core.exceptions import ValidationError
from django.utils import timezone

from todo.models import Todo
from users.models import User

#: The longest password that is hashed, in characters; the API's limit.
LONGEST_PASSWORD = 128
#: How browsers write a local time.
_MINUTE = "%Y-%m-%dT%H:%M"


if TYPE_CHECKING:
    _OfUser = forms.ModelForm[User]
    _OfTodo = forms.ModelForm[Todo]
else:
    _OfUser = _OfTodo = forms.ModelForm  # generic in its stubs only


def _password(label: str, autocomplete: str, **options: Any) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, strip=False, max_length=LONGEST_PASSWORD, widget=widget, **options)


class PageForm(forms.Form):
    """A form whose labels have no colon."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"label_suffix": "", **options})


class SignInForm(PageForm):
    """A name and a password."""

    username = forms.CharField(
        label="Name",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True, "autocapitalize": "none"}),
    )
    password = _password("Password", "current-password")


class _UserForm(_OfUser):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"label_suffix": "", **options})

    def clean_email(self) -> str:
        """Return the address as the API stores it."""
        return User.objects.normalize_email(self.cleaned_data["email"])


class SignUpForm(_UserForm):
    """A new user."""

    password = _password("Password", "new-password", help_text=password_validation.password_validators_help_text_html())

    class Meta:
        model = User
        fields = ("username", "email")
        labels: ClassVar[dict[str, Any]] = {"username": "Name", "email": "E-mail address"}
        help_texts: ClassVar[dict[str, Any]] = {"username": "", "email": "For reminders and the weekly digest."}
        widgets: ClassVar[dict[str, Any]] = {
            "username": forms.TextInput(
                attrs={"autocomplete": "username", "autofocus": True, "autocapitalize": "none"}
            ),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }


class ProfileForm(_UserForm):
    """What people may change about themselves."""

    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "weekly_digest")
        labels: ClassVar[dict[str, Any]] = {"email": "E-mail address", "weekly_digest": "Mail me a digest every Monday"}
        help_texts: ClassVar[dict[str, Any]] = {"weekly_digest": "What is open, and what you got done."}
        widgets: ClassVar[dict[str, Any]] = {
            "first_name": forms.TextInput(attrs={"autocomplete": "given-name"}),
            "last_name": forms.TextInput(attrs={"autocomplete": "family-name"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }


class PasswordForm(PasswordChangeForm):
    """Another password; the one before has to be known."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"label_suffix": "", **options})
        self.fields["old_password"].widget.attrs.pop("autofocus", None)
        for field in self.fields.values():
            field.widget.attrs["maxlength"] = LONGEST_PASSWORD

    def clean(self) -> dict[str, Any]:
        """Refuse what is too long to hash."""
        cleaned = super().clean() or self.cleaned_data
        if any(len(value) > LONGEST_PASSWORD for value in self.data.values() if isinstance(value, str)):
            raise ValidationError(f"A password has at most {LONGEST_PASSWORD} characters.")
        return cleaned

    def save(self, commit: bool = True) -> User:
        """Store the password alone: hashing takes a while, in which somebody may lock the user, or delete them."""
        user: User = super().save(commit=False)
        if commit:
            User.objects.filter(pk=user.pk).update(password=user.password)
        return user


class DueField(forms.DateTimeField):
    """A local time; what is sent as it was shown stays what it was, also in the hour that clocks show twice."""

    was: datetime | None = None

    def clean(self, value: Any) -> datetime | None:
        """Return the time."""
        is_as_shown = self.was is not None and value == timezone.localtime(self.was).strftime(_MINUTE)
        due_at: datetime | None = self.was if is_as_shown else super().clean(value)
        return due_at


class TodoForm(_OfTodo):
    """A todo, to write down or to change; its due time is local, and to the minute."""

    class Meta:
        model = Todo
        fields = ("title", "description", "due_at")
        field_classes: ClassVar[dict[str, Any]] = {"due_at": DueField}
        labels: ClassVar[dict[str, Any]] = {"due_at": "Due"}
        widgets: ClassVar[dict[str, Any]] = {
            "title": forms.TextInput(attrs={"placeholder": "What is to be done?", "autocomplete": "off"}),
            "description": forms.Textarea(attrs={"rows": 3}),
            "due_at": forms.DateTimeInput(attrs={"type": "datetime-local"}, format=_MINUTE),
        }

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"label_suffix": "", **options})
        cast("DueField", self.fields["due_at"]).was = self.instance.due_at
        self.fields["due_at"].help_text = f"You get a mail then. Time zone: {timezone.get_current_timezone_name()}."
        if self.instance.due_at is not None:
            self.initial["due_at"] = self.instance.due_at.replace(second=0, microsecond=0)

    @property
    def changes(self) -> dict[str, Any]:
        """What was changed, by field; a due time that has passed may stay as it is."""
        return {name: self.cleaned_data[name] for name in self.changed_data}

    def refuse_due_time(self) -> None:
        """Say that nobody can be reminded then."""
        self.add_error("due_at", "Choose a time in the future, at most a hundred years away.")
