"""What all made pages share: their first line, and how a text stands in a cell of a table."""

from __future__ import annotations

import inspect

MADE_BY = "<!-- Made by docs/generate.py from the code: change it there, then `make docs`. -->\n"


def to_cell(text: str) -> str:
    """One line that does not end its table cell."""
    return " ".join(text.split()).replace("|", "\\|")


def first_sentence(documented: type) -> str:
    """The first paragraph of a class's docstring, on one line."""
    return (inspect.getdoc(documented) or "").split("\n\n")[0].replace("\n", " ")
