"""One suite for every source of the school's own records: each law of `laws.py` on each stand of `stands.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sources.laws import LAWS, Keeper, Stand
from tests.contract.sources.stands import STANDS

ROOT = Path(__file__).parents[3]
CASES = [(stand, law) for stand, cls in STANDS.items() for law in LAWS if law not in cls.lacks]


@pytest.fixture
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    folder = tmp_path / "outside"
    folder.mkdir()
    found = STANDS[request.param](folder)
    yield found
    found.close()


@pytest.mark.parametrize(("stand", "law"), CASES, indirect=["stand"], ids=[f"{stand}-{law}" for stand, law in CASES])
def test_a_source_keeps_the_law(stand: Stand, law: str, keeper: Keeper) -> None:
    LAWS[law](stand, keeper)


@pytest.mark.parametrize("name", STANDS)
def test_what_can_not_be_tried_on_a_source_is_a_law_and_has_its_reason(name: str) -> None:
    lacks = STANDS[name].lacks
    assert set(lacks) <= set(LAWS)
    assert all(len(reason) > 20 for reason in lacks.values())
    assert len(lacks) <= 3


def test_every_source_of_the_gateway_has_its_stand() -> None:
    """A class that checks and reads scopes is a source; one without a stand here stops the run."""
    sources = set()
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
                if methods >= {"check", "iter_scopes"}:
                    sources.add((path.relative_to(ROOT / "gateway").as_posix(), node.name))
    assert sources == {
        ("connectors/port.py", "PortalSource"),
        ("connectors/portal/moodle/source.py", "MoodleSource"),
        ("connectors/planner/door/source.py", "DoorSource"),
        ("connectors/planner/door/inbox.py", "DoorInbox"),
        ("connectors/planner/workbook/source.py", "WorkbookSource"),
        ("connectors/planner/asc/source.py", "AscSource"),
        ("flows/journal.py", "JournalSource"),
        ("simulation/portal.py", "SimSource"),  # the simulation's own portal, which the simulation judges
    }
