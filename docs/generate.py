"""Makes the pages of `docs/reference` that repeat the code: settings, reasons, errors, the command line, the planner's
door, the fault matrix.

`python -m docs.generate` (or `make docs`) writes them; `tests/test_docs.py` fails while a page differs from what this
module would write. Nothing else writes these pages, and what is said in them is said in the code first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from docs.pages.access import build_access_page
from docs.pages.commands import build_cli_page
from docs.pages.door import build_door_page
from docs.pages.errors import build_errors_page
from docs.pages.matrix import build_matrix_page
from docs.pages.reasons import build_discrepancies_page, build_reasons_page
from docs.pages.settings import build_settings_page
from docs.pages.workbook import build_heads_page
from gateway.connectors.planner.door.schema import build_schema

REFERENCE = Path(__file__).parent / "reference"


def build_pages() -> dict[Path, str]:
    """Build every generated page, by its path."""
    return {
        REFERENCE / "settings.md": build_settings_page(),
        REFERENCE / "reasons.md": build_reasons_page(),
        REFERENCE / "discrepancies.md": build_discrepancies_page(),
        REFERENCE / "errors.md": build_errors_page(),
        REFERENCE / "cli.md": build_cli_page(),
        REFERENCE / "workbook-heads.md": build_heads_page(),
        REFERENCE / "planner-door.md": build_door_page(),
        REFERENCE / "planner-door.schema.json": json.dumps(build_schema(), indent=2, ensure_ascii=False) + "\n",
        REFERENCE / "fault-matrix.md": build_matrix_page(),
        REFERENCE / "access.md": build_access_page(),
    }


def main() -> None:
    """Write the pages and name those that changed."""
    for path, text in build_pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stderr.write(f"written: {path.name}\n")


if __name__ == "__main__":
    main()
