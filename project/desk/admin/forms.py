"""What operators are asked before something is done."""

import json
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.forms.fields import InvalidJSONInput

from project.desk.overview import queues_now
from project.tasks import get_task
from project.tasks.errors import TaskError
from project.tasks.models import TaskRun
from project.tasks.repair.bulk import MOST_IN_A_STEP
from project.values.fields import InstantField, JSONField


class ReasonForm(forms.Form):
    """Why something is done."""

    reason = forms.CharField(
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Kept in the record of operator actions.",
    )


class IndentedJSON(JSONField):
    """JSON as people read it."""

    def prepare_value(self, value: Any) -> Any:
        """Indent it, unless it is what somebody typed and is not right."""
        if isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, indent=2, ensure_ascii=False)


class ArgumentsForm(ReasonForm):
    """The arguments of another attempt.

    Args:
        run: The run to be retried.
    """

    arguments = IndentedJSON(
        widget=forms.Textarea(attrs={"rows": 12, "cols": 80, "spellcheck": "false", "class": "run-json"})
    )
    field_order = ("arguments", "reason")

    def __init__(self, data: Any = None, *, run: TaskRun) -> None:
        super().__init__(data, initial={"arguments": run.arguments})
        self.task = run.task

    def clean_arguments(self) -> dict[str, Any]:
        """Validate them against the task's signature."""
        arguments = self.cleaned_data["arguments"]
        if not isinstance(arguments, dict):
            raise forms.ValidationError("Write a JSON object: each argument by its name.")
        try:
            get_task(self.task).check_arguments((), arguments)
        except TaskError as error:
            raise forms.ValidationError(str(error)) from error
        return arguments


class BulkRetryForm(ReasonForm):
    """How to retry many runs."""

    rate = forms.FloatField(
        min_value=0.01,
        max_value=2 * MOST_IN_A_STEP,
        initial=10,
        label="Pace",
        help_text="How many runs to retry each second.",
    )
    max_error_percent = forms.IntegerField(
        min_value=0,
        max_value=100,
        initial=20,
        label="Stop above",
        help_text="Stops when more than so many per cent of the retried runs fail again; 100 never stops.",
    )
    field_order = ("rate", "max_error_percent", "reason")


class PauseForm(forms.Form):
    """Which queue to pause, why, and for how long."""

    queue = forms.ChoiceField()
    reason = forms.CharField(
        max_length=200,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Everybody sees it.",
    )
    resume_at = InstantField(
        required=False,
        label="Until",
        widget=AdminSplitDateTime,
        help_text="The queue is resumed by itself at this time. Empty: somebody has to resume it.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        queue = self.fields["queue"]
        assert isinstance(queue, forms.ChoiceField)  # noqa: S101 - for the type checker
        queue.choices = [(each.name, each.name) for each in queues_now()]
