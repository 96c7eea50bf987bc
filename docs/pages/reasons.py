"""The pages of reason codes and of types of discrepancies."""

from __future__ import annotations

import inspect

from docs.pages.words import MADE_BY, to_cell
from gateway.domain.discrepancies import TYPE_TEXTS, Choice
from gateway.domain.reasons import OWNER_EN, OWNER_RU, REASONS, Reason
from gateway.reconcile.discrepancies import owners_of

NOTHING_TO_DO = "Nothing to do."

CATEGORIES = {
    "unchanged": "Unchanged",
    "create": "To be created",
    "update": "To be changed",
    "delete": "To be deleted",
    "adopted": "Adopted without a write",
    "held": "Held",
    "waiting": "Waiting for a person",
    "rejected": "Not fit to be sent",
    "out_of_scope": "Out of scope",
    "delivery": "Met on the way to the city",
    "workbook": "Met in the planner's workbooks",
    "fault": "Faults of the gateway",
}


def build_reasons_page() -> str:
    """Build the table of reason codes, a section a category."""
    lines = [
        MADE_BY,
        "# Reason codes",
        "",
        "Every record that is not plainly unchanged has a decision row with one of these codes, also when nothing is sent for it;",
        "operations and audit entries carry them too. A code is never renamed. Texts that people see are Russian first.",
    ]
    for category, title in CATEGORIES.items():
        rows = [reason for reason in REASONS.values() if reason.category == category]
        if not rows:
            continue
        lines += [
            "",
            f"## {title} (`{category}`)",
            "",
            "| code | what it is | what to do | whose turn |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{reason.code}` | {to_cell(reason.what_en)}<br>{to_cell(reason.what_ru)} "
            f"| {to_cell(reason.todo_en)}<br>{to_cell(reason.todo_ru)} | {_whose(reason)} |"
            for reason in rows
        ]
    return "\n".join(lines) + "\n"


def _whose(reason: Reason) -> str:
    """Nobody's where nothing is to be done."""
    if reason.todo_en == NOTHING_TO_DO:
        return "—"
    return f"{OWNER_EN[reason.owner]}<br>{OWNER_RU[reason.owner]}"


def build_discrepancies_page() -> str:
    """Build the table of discrepancy types, what each means, and what may be chosen."""
    lines = [
        MADE_BY,
        "# Types of discrepancies",
        "",
        "Whose move it is follows from the reason code of the decision that opened it ([reasons.md](reasons.md)), always one post's; a quarrel",
        "of two writers is the deputy head's. How to settle them: [../how-to/discrepancies.md](../how-to/discrepancies.md).",
        "",
        "| type | what it is | what to do | whose move, by its reason | choices |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{type_.value}` | {to_cell(text.what_en)}<br>{to_cell(text.what_ru)} "
        f"| {to_cell(text.todo_en)}<br>{to_cell(text.todo_ru)} "
        f"| {'; '.join(f'{OWNER_EN[one]} ({OWNER_RU[one]})' for one in owners_of(type_))} | {', '.join(f'`{one.value}`' for one in text.choices)} |"
        for type_, text in TYPE_TEXTS.items()
    ]
    lines += ["", "## Choices", "", "| choice | what it does |", "|---|---|"]
    told = (inspect.getdoc(Choice) or "").splitlines()
    lines += [
        f"| `{name.strip().lower()}` | {to_cell(text.strip())} |"
        for name, _, text in (line.partition(":") for line in told if line.startswith("    "))
    ]
    return "\n".join(lines) + "\n"
