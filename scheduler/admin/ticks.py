"""The ledger of ticks in the admin: to look at."""

from typing import ClassVar

from django.contrib import admin

from project.admin import UneditableAdmin
from scheduler.admin.columns import late_by, run_link
from scheduler.models import Tick


@admin.register(Tick)
class TickAdmin(UneditableAdmin):
    """What was to be sent and what was: every tick and its run. The clock alone writes and prunes them."""

    list_display = ("fire_time", "name", "outcome", late_by, "coalesced", run_link, "sender")
    list_display_links = None
    list_filter = ("outcome", "schedule")
    search_fields = ("name", "run_id")
    date_hierarchy = "fire_time"
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    class Media:
        css: ClassVar = {"all": ("scheduler/wide_list.css",)}
