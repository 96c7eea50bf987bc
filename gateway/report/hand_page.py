"""The list «enter by hand» as a page to print: a sheet a teacher, a table a journal page, a box before each line.

Pure. One file with its style inside and nothing loaded from anywhere; every word of it is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby
from operator import attrgetter

from gateway.report.hand_list import HandLine

_HEAD = """<!doctype html>
<html lang="ru"><head><meta charset="utf-8"><title>Внести руками</title>
<style>
body { font: 11pt sans-serif; }
section { break-after: page; }
section:last-child { break-after: auto; }
h2 { break-after: avoid; font-size: 12pt; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #777; padding: 2pt 4pt; text-align: left; vertical-align: top; white-space: pre-line; }
tr { break-inside: avoid; }
td.box { width: 14pt; }
</style></head><body>
"""
_TITLES = ("", "Дата", "Урок", "Ученик", "Что сделать", "Значение", "Форма контроля", "Сейчас там", "№")


def to_page(lines: Sequence[HandLine]) -> str:
    """The list as HTML, in the order of the lines."""
    if not lines:
        return f"{_HEAD}<p>Вносить руками нечего.</p>\n</body></html>\n"
    parts = [_HEAD]
    for teacher, of_teacher in groupby(lines, key=attrgetter("teacher")):
        parts.append(f"<section><h1>{escape(teacher)}</h1>\n")
        for page, of_page in groupby(of_teacher, key=attrgetter("page")):
            parts.append(f"<h2>{escape(page)}</h2>\n<table><tr>")
            parts += [f"<th>{title}</th>" for title in _TITLES]
            parts.append("</tr>\n")
            parts += [_row(line) for line in of_page]
            parts.append("</table>\n")
        parts.append("</section>\n")
    parts.append("</body></html>\n")
    return "".join(parts)


def _row(line: HandLine) -> str:
    cells = (
        f"{line.on:%d.%m.%Y}" if line.on is not None else "",
        str(line.lesson or ""),
        line.pupil,
        f"{line.action}: {line.what}",
        line.value,
        line.form if line.weight is None else f"{line.form}, вес {line.weight}",
        line.was,
        str(line.operation),
    )
    return '<tr><td class="box">☐</td>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>\n"


__all__ = ["to_page"]
