"""What the documents say is where it is, is there."""

import re
from pathlib import Path

import pytest

from project.environment import BASE_DIR

TASKS = BASE_DIR / "project" / "tasks"
DOCUMENTS = [
    *(BASE_DIR / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(BASE_DIR / "docs").glob("*.md"),
    TASKS / "README.md",
]
#: A path of ours in ticks, such as `project/tasks/models.py`; not one with a placeholder or a pattern in it.
PATH = re.compile(r"`((?:project|todo|users|scheduler|tests|docs)/[\w./-]+)`")
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
