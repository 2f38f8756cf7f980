"""Deletes the files of exports whose day is over, and those that belong to none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import structlog
from django.utils import timezone

from project.deletion import delete_in_batches
from reports import files
from reports.models import KEPT, REMEMBERED, Export
from reports.schemas import PruneExportsResult

log = structlog.get_logger(__name__)


def prune_exports(*, now: datetime | None = None) -> PruneExportsResult:
    """Delete what is no longer downloaded: each file by itself, so that one that cannot go keeps no other.

    Args:
        now: The time to take for now.

    Raises:
        OSError: If the files cannot be listed; a bucket raises errors of its own, see `files.storage_errors`.
    """
    now = now or timezone.now()
    expired = [_is_forgotten(export) for export in Export.objects.filter(expires_at__lte=now).exclude(name="")]
    delete_in_batches(Export.objects.filter(expires_at__lte=now - REMEMBERED, name=""))
    orphans = [_is_deleted(name) for name in _orphans(now)]
    errors = expired.count(False) + orphans.count(False)
    return PruneExportsResult(expired=expired.count(True), orphans=orphans.count(True), errors=errors)


def _orphans(now: datetime) -> Iterator[str]:
    """Find files without an export: of a user who is gone, of a run that was killed and not tried again."""
    found = {name: export_id for name in files.names() if (export_id := files.export_of(name))}
    kept = set(Export.objects.filter(pk__in=set(found.values())).values_list("name", flat=True))
    for name in found.keys() - kept:
        # A younger one may be a run's that goes on right now.
        if _is_older(name, than=now - KEPT):
            yield name


def _is_forgotten(export: Export) -> bool:
    is_deleted = _is_deleted(export.name)
    if is_deleted:
        Export.objects.filter(pk=export.pk).update(name="")
    return is_deleted


def _is_older(name: str, *, than: datetime) -> bool:
    try:
        return files.written_at(name) < than
    except FileNotFoundError:  # another pruning was faster
        return False


def _is_deleted(name: str) -> bool:
    try:
        files.delete(name)
    except files.storage_errors() as error:
        log.warning("export_not_deleted", name=name, error=str(error), cure="none: the next pruning tries again")
        return False
    return True
