"""The form for a schedule: what the clock could not send or keep is refused with what to do about it."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms

from project.tasks.declaration import all_declarations
from project.values.fields import JSONField, LengthField
from scheduler.crontab import zone
from scheduler.errors import CronError, ScheduleError, UnknownTimeZoneError
from scheduler.grammar import parse
from scheduler.models import Schedule
from scheduler.validation import check_cron, check_task

if TYPE_CHECKING:
    ScheduleModelForm = forms.ModelForm[Schedule]
else:
    ScheduleModelForm = forms.ModelForm  # generic in its stubs only


class ScheduleForm(ScheduleModelForm):
    """A schedule as an operator edits it."""

    task = forms.ChoiceField(help_text="What to send.")

    class Meta:
        model = Schedule
        fields = ("name", "task", "arguments", "cron", "time_zone", "enabled", "misfire", "max_lateness")
        labels: ClassVar = {"misfire": "Missed ticks", "max_lateness": "Longest delay"}
        field_classes: ClassVar = {"arguments": JSONField, "max_lateness": LengthField}
        widgets: ClassVar = {
            "cron": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
            "time_zone": forms.TextInput(attrs={"list": "time-zones", "autocomplete": "off", "spellcheck": "false"}),
            "arguments": forms.Textarea(attrs={"rows": 3, "cols": 60, "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {name for name, task in all_declarations().items() if task.durable} | {self.instance.task}
        if isinstance(field := self.fields.get("task"), forms.ChoiceField):
            field.choices = [(name, name) for name in sorted(filter(None, names))]

    def clean_cron(self) -> str:
        """Refuse what is not cron text."""
        cron: str = self.cleaned_data["cron"].strip()
        try:
            parse(cron)
        except CronError as error:
            raise forms.ValidationError(str(error)) from error
        return cron

    def clean_time_zone(self) -> str:
        """Refuse what is not a time zone."""
        name: str = self.cleaned_data["time_zone"].strip()
        try:
            return zone(name).key
        except UnknownTimeZoneError as error:
            raise forms.ValidationError(str(error)) from error

    def clean_arguments(self) -> dict[str, Any]:
        """Refuse what are not arguments by name; an empty field means none."""
        arguments = self.cleaned_data["arguments"] or {}
        if not isinstance(arguments, dict):
            raise forms.ValidationError('Give the arguments by name, such as {"days_old": 30}.')
        return arguments

    def clean(self) -> dict[str, Any]:
        """Refuse what the task does not take."""
        values = super().clean() or self.cleaned_data
        self._check("cron", check_cron, "cron", "time_zone")
        self._check("arguments", check_task, "task", "arguments")
        return values

    def _check(self, field: str, check: Any, *names: str) -> None:
        if all(name in self.cleaned_data for name in names):
            try:
                check(*(self.cleaned_data[name] for name in names))
            except ScheduleError as error:
                self.add_error(field, str(error))
