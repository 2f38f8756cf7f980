"""What the documents say is where it is, is there."""

import re
from pathlib import Path

import pytest

from project.api import api
from project.environment import BASE_DIR
from project.registry import TasksRegistry
from project.tasks import Task

TASKS = BASE_DIR / "project" / "tasks"
README = BASE_DIR / "README.md"
DOCUMENTS = [
    *(BASE_DIR / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *(BASE_DIR / "docs").glob("*.md"),
    TASKS / "README.md",
]
#: A path of ours in ticks, such as `project/tasks/models.py`; not one with a placeholder or a pattern in it.
PATH = re.compile(r"`((?:notifications|project|reports|todo|users|scheduler|tests|docs)/[\w./-]+)`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def names(document: Path, pattern: re.Pattern[str], *, below: Path) -> set[Path]:
    return {below / found for found in pattern.findall(document.read_text())}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(BASE_DIR).as_posix())
def test_every_path_and_link_of_a_document_leads_somewhere(document: Path) -> None:
    named = names(document, PATH, below=BASE_DIR) | names(document, LINK, below=document.parent)
    assert {path for path in named if not path.exists()} == set()


def test_the_map_of_the_machinery_names_every_module_and_no_other() -> None:
    modules = {
        path.stem for path in TASKS.rglob("*.py") if path.name != "__init__.py" and "migrations" not in path.parts
    }
    mapped = set(re.findall(r"^\| `(\w+)` \|", (TASKS / "README.md").read_text(), re.MULTILINE))
    states = {"pending", "queued", "running", "retrying", "succeeded", "dead"}
    assert mapped - states == modules


def test_every_address_that_the_readme_names_is_in_the_api() -> None:
    """To the last slash: with one too many it is another address, which nobody answers."""
    # The health is answered before requests reach the API.
    answered = {nameless(path) for path in [*api.get_openapi_schema()["paths"], "/v1/health"]}
    named = {nameless(path) for path in re.findall(r"`(?:[A-Z]+ )?(/v1/[\w/{}-]+)[`?]", README.read_text())}
    assert len(named) > 10
    assert named - answered == set()


def nameless(path: str) -> str:
    return re.sub(r"{\w+}", "{}", path)


def test_the_readme_lists_every_task_and_no_other() -> None:
    table = README.read_text().partition("\n## Tasks\n")[2].partition("\nTimes are in")[0]
    listed = set(re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE))
    assert listed == {task.actor_name for task in vars(TasksRegistry).values() if isinstance(task, Task)}
