"""Exports in a bucket of a real S3 server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from project.export_environment import ExportVariables, exports_storage
from project.values.ids import uuid7
from reports import files
from reports.errors import StorageAwayError
from reports.models import Export
from reports.pruning import prune_exports
from reports.schemas import PruneExportsResult
from tests.exports import Bucket, a_busy_user, made

pytestmark = pytest.mark.django_db


@pytest.fixture
def bucket(settings: Any, tmp_path: Path) -> Bucket:
    """A bucket in which this test keeps exports; its server does not listen yet."""
    bucket = Bucket(tmp_path / "buckets")
    variables = {name.lower(): value for name, value in bucket.environment.items()}
    exports = exports_storage(ExportVariables.model_validate(variables), directory=tmp_path)
    settings.STORAGES = {**settings.STORAGES, "exports": exports}
    settings.EXPORTS_IN_BUCKET, settings.EXPORTS_DIRECTORY = True, tmp_path / "drafts"
    return bucket


@pytest.fixture
def listening(bucket: Bucket) -> Iterator[None]:
    with bucket.listening():
        yield


def test_an_object_is_written_once_read_and_pruned(bucket: Bucket, listening: None) -> None:
    user, export_id = a_busy_user(todos=3), uuid7()
    result = made(user, export_id=export_id)
    assert made(user, export_id=export_id) == result
    name = Export.objects.get().name
    assert bucket.names == {name}
    assert len(files.open_file(name).read()) == result.bytes
    later = timezone.now() + timedelta(hours=25)
    assert prune_exports(now=later) == PruneExportsResult(expired=1, orphans=0)
    assert bucket.names == set()
    with pytest.raises(FileNotFoundError):
        files.open_file(name)


def test_objects_of_no_export_go_after_a_day_and_nothing_of_others(bucket: Bucket, listening: None) -> None:
    made(a_busy_user(todos=1))
    Export.objects.all().delete()
    (bucket.objects / f"{uuid4()}.txt").touch()
    assert prune_exports() == PruneExportsResult(expired=0, orphans=0)
    later = timezone.now() + timedelta(hours=25)
    assert prune_exports(now=later) == PruneExportsResult(expired=0, orphans=1)
    assert [Path(name).suffix for name in bucket.names] == [".txt"]


def test_nobody_loads_a_library_that_only_some_exports_need() -> None:
    program = (
        "import sys, django; django.setup(); import project.urls, project.registry; "
        "from django.core.files.storage import storages; storages['exports']; "
        "print(*{'boto3', 'botocore', 'storages', 'fpdf'} & sys.modules.keys())"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "project.settings", "EXPORTS_S3_BUCKET": "some-bucket"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_bucket_that_is_away_is_said_to_be(bucket: Bucket) -> None:
    with pytest.raises(StorageAwayError):
        files.open_file("x.csv")
    user = a_busy_user(todos=1)
    with pytest.raises(files.storage_errors()):
        made(user)
    assert not Export.objects.exists()
    assert list((bucket.objects.parent.parent.parent / "drafts").iterdir()) == []
