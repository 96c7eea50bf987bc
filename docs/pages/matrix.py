"""The register of the fault matrix, from `tests/fault_matrix.toml` and the markers of the tests."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

from docs.pages.words import MADE_BY, to_cell


def build_matrix_page() -> str:
    """Build the register of the fault matrix: each row with the tests that show it, or why there is none."""
    matrix = _load_matrix()
    parts, rows = matrix.load_rows()
    marked = matrix.find_marked()
    lines = [
        MADE_BY.replace(
            "docs/generate.py from the code",
            "docs/generate.py from `tests/fault_matrix.toml` and the markers of the tests",
        ),
        "# The fault matrix",
        "",
        "Each fault that the gateway answers for, what is expected of it, and the tests that do it to a running part and show that.",
        "A test names its rows by `@pytest.mark.row`; a test run ends with this table as that run has shown it, and",
        "`tests/test_fault_matrix.py` fails while a row has neither a test nor a reason. What the invariants say: [reliability.md](reliability.md).",
    ]
    for part, title in parts.items():
        lines += [
            "",
            f"## {part}. {title}",
            "",
            "| row | fault | expected | must hold | shown by |",
            "|---|---|---|---|---|",
        ]
        for row in rows.values():
            if row.part == part:
                tests = "<br>".join(f"`{test}`" for test in marked.get(row.id, ()))
                said = tests or (f"not tested: {row.why_not}" if row.why_not else f"later: {row.later}")
                lines.append(
                    f"| {row.id} | {to_cell(row.fault)} | {to_cell(row.expected)} | {row.must} | {to_cell(said)} |"
                )
    return "\n".join(lines) + "\n"


def _load_matrix() -> types.ModuleType:
    """The tests' own module; tests are no package, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location(
        "fault_matrix", Path(__file__).parents[2] / "tests" / "fault_matrix.py"
    )
    if spec is None or spec.loader is None:
        raise ImportError("tests/fault_matrix.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
