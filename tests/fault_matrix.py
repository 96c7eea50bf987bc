"""The fault matrix: which faults the gateway answers for, and which test shows each.

The rows stand in `fault_matrix.toml`; a test names the rows it shows by `@pytest.mark.row("A7")` (or `pytestmark`). Read
here by three: the page `docs/reference/fault-matrix.md`, the table at the end of a test run, and the test that fails
where a row has neither a test nor a reason.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent
MARKER = "row"


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        must: Invariants that must hold meanwhile, `I2 I3`.
        why_not: Why no test shows it; empty where one must.
        later: The issue that will show it; empty where this is not put off.
    """

    id: str
    part: str
    fault: str
    expected: str
    must: str
    why_not: str = ""
    later: str = ""


def load_rows() -> tuple[dict[str, str], dict[str, Row]]:
    """Read the parts' titles and the rows, in the order of the file."""
    tree = tomllib.loads((TESTS / "fault_matrix.toml").read_text(encoding="utf-8"))
    parts: dict[str, str] = tree["parts"]
    rows = {
        name: Row(id=name, part=name[0], later=tree["later"].get(name[0], ""), **fields)
        for name, fields in tree["rows"].items()
    }
    return parts, rows


def find_marked(folder: Path = TESTS) -> dict[str, list[str]]:
    """Find the tests of each row by their markers, without importing them: row → `path::test`, sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        place = path.relative_to(folder.parent).as_posix()
        for name, rows in _iter_marks(ast.parse(path.read_text(encoding="utf-8"))):
            for row in rows:
                found.setdefault(row, []).append(f"{place}::{name}")
    return found


def _iter_marks(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield (test, its rows): a module's own rows belong to each of its tests."""
    of_module: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(to, ast.Name) and to.id == "pytestmark" for to in node.targets
        ):
            marks = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
            of_module += [row for mark in marks for row in _rows_of(mark)]
    for node in tree.body:
        yield from _iter_tests(node, of_module, "")


def _iter_tests(node: ast.stmt, inherited: list[str], prefix: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        rows = [*inherited, *(row for mark in node.decorator_list for row in _rows_of(mark))]
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                yield from _iter_tests(inner, rows, f"{node.name}::")
        elif node.name.startswith("test_"):
            yield f"{prefix}{node.name}", rows


def _rows_of(mark: ast.expr) -> list[str]:
    """The ids in `pytest.mark.row("A7", "A8")`; none of any other expression."""
    if not isinstance(mark, ast.Call) or not ast.unparse(mark.func).endswith(f"mark.{MARKER}"):
        return []
    return [str(ast.literal_eval(one)) for one in mark.args]


def find_gaps(rows: Mapping[str, Row], marked: Mapping[str, list[str]]) -> list[str]:
    """Say what is wrong with the register: rows without a test or a reason, reasons beside a test, rows that are none."""
    gaps = [
        f"{name}: no test is marked with it and it has no `why_not`"
        for name, row in rows.items()
        if _is_bare(row, marked)
    ]
    gaps += [f"{name}: has a test and a `why_not`" for name, row in rows.items() if row.why_not and marked.get(name)]
    gaps += [f"{name}: no such row ({', '.join(tests)})" for name, tests in marked.items() if name not in rows]
    return gaps


def _is_bare(row: Row, marked: Mapping[str, list[str]]) -> bool:
    return not (marked.get(row.id) or row.why_not or row.later)
