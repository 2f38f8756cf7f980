"""What the admins of all apps have in common."""

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest


class CarefulAdmin(admin.ModelAdmin):
    """An admin whose list answers a filter that makes no sense with the whole list, not with an error."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Make the list of an address.

        Raises:
            IncorrectLookupParameters: If its filters make no sense, such as a year that no date has; Django then
                shows the list without them.
        """
        try:
            return super().get_changelist_instance(request)
        except (OverflowError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error
