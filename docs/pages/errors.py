"""The page of the error tree."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from docs.pages.words import MADE_BY, first_sentence, to_cell
from gateway.connectors.mesh.codecs import FormError
from gateway.connectors.planner.workbook.faults import CellError
from gateway.domain import errors
from gateway.domain.errors import GatewayError

INNER_ERRORS = (FormError, CellError)
"""Raised and caught inside one connector; they tell a wire model or a reader that a field does not fit."""


def build_errors_page() -> str:
    """Build the error tree with each class's recovery."""
    lines = [
        MADE_BY,
        "# Errors",
        "",
        "`recovery` says what the caller does next and is the only thing that decides; the text only explains. Messages carry ids,",
        "never names, marks or bodies. Source: `gateway/domain/errors.py`.",
        "",
        "| class | recovery | reason code | what it is |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {'· ' * depth}`{error.__name__}` | {error.recovery.name} | `{error.reason}` | {to_cell(first_sentence(error))} |"
        for depth, error in iter_errors(GatewayError)
    ]
    lines += ["", "## Recoveries", "", "| recovery | what follows |", "|---|---|"]
    comments = {
        line.split("=")[0].strip(): line.split("#", 1)[1].strip()
        for line in inspect.getsource(errors.Recovery).splitlines()
        if "=" in line and "#" in line
    }
    lines += [f"| {recovery.name} | {to_cell(comments[recovery.name])} |" for recovery in errors.Recovery]
    lines += [
        "",
        "## Inside one connector",
        "",
        "A wire model or a reader catches it, and the row becomes a fault or a `ContractError`.",
        "",
    ]
    lines += [f"- `{error.__name__}` (`{error.__module__}`): {first_sentence(error)}" for error in INNER_ERRORS]
    return "\n".join(lines) + "\n"


def iter_errors(error: type[GatewayError], depth: int = 0) -> Iterator[tuple[int, type[GatewayError]]]:
    """Yield (depth, class) of the tree under `error`, in the order of the source."""
    yield depth, error
    for child in error.__subclasses__():
        if not child.__module__.startswith("gateway."):
            continue  # a test's own
        yield from iter_errors(child, depth + 1)
