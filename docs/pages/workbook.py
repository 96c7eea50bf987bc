"""The page of the workbooks' heads, marks and caps."""

from __future__ import annotations

from collections.abc import Iterator

from docs.pages.words import MADE_BY, to_cell
from gateway.connectors.planner.workbook.layouts import LAYOUTS, Layout
from gateway.connectors.planner.workbook.marks import ABSENCES, FORMS
from gateway.connectors.planner.workbook.sheets import DEFAULT_CAPS

LAYOUT_TITLES = {
    "roster": "Class list (roster)",
    "timetable": "Timetable, a row a lesson",
    "grid": "Timetable, a column a class",
    "page": "Page of the journal: pupils down, days across",
    "entries": "Marks as a list",
    "lessons": "Topics and homework",
    "programme": "Work programme (рабочая программа), thematic planning",
    "ktp": "Calendar-thematic plan (КТП)",
    "plan": "Curriculum (учебный план)",
}
DYNAMIC = {"days": "a column a day", "classes": "a column a class", "levels": "a column a grade or class"}
FINAL_HEADS = (
    "| «1 триместр», «I четверть», «отметка за 2 полугодие», «2 период» | final mark of that period |",
    "| «Промежуточная аттестация», «Зачёт», «Экзамен» | intermediate attestation |",
    "| «Год», «Годовая отметка» | final mark of the year |",
    "| «Итоговая»; «Итог» only beside a column of the year | final mark |",
    "| «Замечание 05.09», «05.09» over «комментарий» | remarks of the lesson of that day whose column stands before it |",
)


def build_heads_page() -> str:
    """Build the tables of the workbooks' heads, marks and caps."""
    lines = [
        MADE_BY,
        "# Heads of the planner's workbooks",
        "",
        "A head is found by its meaning: small and capital letters, ё and е, punctuation, Latin letters that look like Cyrillic ones and",
        "the order of the columns do not matter. A head may have two storeys. What stands in no table below is not read, and is told.",
        "How to use them: [planner-workbooks.md](../how-to/planner-workbooks.md); what a fault means: [reasons.md](reasons.md).",
    ]
    for layout in LAYOUTS:
        lines += ["", f"## {_layout_title(layout)}", "", *_layout_lines(layout)]
    lines += ["", "## What stands in a cell of a page", "", "| in the cell | is |", "|---|---|"]
    lines += [f"| `5`, `5(2{letter})` | {words}{', weight 2' if letter else ''} |" for letter, words in FORMS.items()]
    lines += [f"| `{letter}` | {form} |" for letter, form in ABSENCES.items()]
    lines += [
        "",
        "Several stand with a comma, a slash or a space between them: `н,5(1),4(2К)`. Why a pupil was absent is not kept.",
        "",
        "## What stands on a page beside its days",
        "",
        "| head | is |",
        "|---|---|",
        *FINAL_HEADS,
        "",
        "A final mark is a number of 1 to 5 or a word («зачёт», «осв»); an attestation may also be 1 (passed) or 0. The period is looked up in the group's own",
        "schedule in the city: by number, or as it is called where the year has so many parts. A sheet may hold nothing but such columns.",
        "",
        "## Bounds",
        "",
        "| what | at most |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {getattr(DEFAULT_CAPS, name)} |" for name in DEFAULT_CAPS.__struct_fields__]
    return "\n".join(lines) + "\n"


def _layout_title(layout: Layout) -> str:
    title = LAYOUT_TITLES[layout.name]
    return f"{title}, as a list" if layout.name == "plan" and not layout.dynamic else title


def _layout_lines(layout: Layout) -> Iterator[str]:
    heads = {column.key: column.head for column in layout.columns}
    needs = "; or ".join(" and ".join(f"«{heads[key]}»" for key in need) for need in layout.needs)
    yield f"Needed: {needs}{'; ' + DYNAMIC[layout.dynamic] if layout.dynamic else ''}."
    if layout.from_title:
        yield "Above the table or in the sheet's name instead of a column: class" + (
            ", subject." if "subject" in layout.from_title else "."
        )
    yield ""
    yield "| head | also known as | or has in it (regular expression) | notes |"
    yield "|---|---|---|---|"
    for column in layout.columns:
        stems = ", ".join(f"`{to_cell(stem)}`" for stem in column.stems)
        yield f"| {column.head} | {', '.join(column.words)} | {stems} | {column.hint} |"
