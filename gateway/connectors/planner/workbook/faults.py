"""What is wrong in a workbook: a code, the place in the file, and the two sentences a teacher needs.

The codes and their texts stand in `domain.reasons` (category `workbook`). A fault never repeats what a cell holds: cells
hold children's names and marks, and a report goes through many hands.
"""

from __future__ import annotations

import msgspec

from gateway.domain.reasons import get_reason


class CellError(Exception):
    """A cell, sheet or file that can't be read; its code says why. Caught where the place is known.

    Args:
        code: Code of `domain.reasons`.
        detail: What it is about where the text alone does not say it (a head, a limit); never a cell's content.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, with its place as the spreadsheet counts.

    Attributes:
        file: Name of the file, without its folder.
        row: From 1; None where the whole sheet or file is meant. `cell` is the address, `D7`, `column` its letters.
        head: The template's word for the column.
        is_lost: Whether something was not taken because of it; False = only told.
    """

    code: str
    file: str
    sheet: str = ""
    row: int | None = None
    column: str = ""
    cell: str = ""
    head: str = ""
    what: str
    todo: str
    what_en: str
    todo_en: str
    detail: str = ""
    is_lost: bool = True

    @property
    def place(self) -> str:
        """File, sheet and cell in words."""
        parts = [f"файл «{self.file}»"]
        if self.sheet:
            parts.append(f"лист «{self.sheet}»")
        if self.cell:
            parts.append(f"ячейка {self.cell}")
        elif self.row is not None:
            parts.append(f"строка {self.row}")
        if self.head:
            parts.append(f"столбец «{self.head}»")
        return ", ".join(parts)

    @property
    def sentence(self) -> str:
        """Place, what is wrong and what to do in one go."""
        what = f"{self.what.rstrip('.')} ({self.detail})." if self.detail else self.what
        return f"{self.place[0].upper()}{self.place[1:]}: {what} {self.todo}"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the reader stands: a file, or a sheet of it.

    Attributes:
        typed_by: Post of whoever filled the sheet in, where it says so; `on_behalf_of` at whose word; `answers` who answers for it.
    """

    file: str
    sheet: str = ""
    typed_by: str = ""
    on_behalf_of: str = ""
    answers: str = ""

    def fault(
        self,
        code: str,
        *,
        row: int | None = None,
        column: int | None = None,
        head: str = "",
        detail: str = "",
        is_lost: bool = True,
    ) -> Fault:
        """Make the fault of a place.

        Args:
            code: Code of `domain.reasons`.
            row: Row from 1.
            column: Column from 0.
            head: The template's word for the column.
            detail: Addition to the text; never a cell's content.
            is_lost: Whether something was not taken.
        """
        reason = get_reason(code)
        letters = "" if column is None else column_letters(column)
        return Fault(
            code=code,
            file=self.file,
            sheet=self.sheet,
            row=row,
            column=letters,
            cell=f"{letters}{row}" if letters and row is not None else "",
            head=head,
            what=reason.what_ru,
            todo=reason.todo_ru,
            what_en=reason.what_en,
            todo_en=reason.todo_en,
            detail=detail,
            is_lost=is_lost,
        )


def column_letters(column: int) -> str:
    """Name a column as a spreadsheet does: 0 is `A`, 26 is `AA`."""
    letters = ""
    number = column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
