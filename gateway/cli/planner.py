"""gateway planner: the teacher's workbooks, looked through before they are put into the folder, and their templates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.bootstrap.workbooks import lint_planner_file, write_planner_template
from gateway.cli.context import ERR, OUT, ConfigOption, JsonOption, StderrProgress, guarded, load, print_json
from gateway.cli.targets import ForceOption, new_file
from gateway.cli.words import dense_table
from gateway.flows.sync import Exit

planner_app = typer.Typer(help="Книги планировщика: списки, расписание, журнал, планы.", no_args_is_help=True)

LAYOUT_WORDS = {
    "roster": "список класса",
    "timetable": "расписание",
    "grid": "расписание сеткой",
    "lessons": "темы и задания",
    "entries": "отметки списком",
    "page": "страница журнала",
    "ktp": "КТП",
    "programme": "рабочая программа",
    "plan": "учебный план",
    "": "не опознан",
}
SHOWN_LINES = 100
"""Faults printed for a person; `--json` has them all."""


@planner_app.command("lint")
def lint_command(
    file: Annotated[Path, typer.Argument(help="Книга XLSX, XLS, ODS или CSV.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Просмотреть книгу и назвать каждую ошибку: лист, ячейка, что не так и что сделать; ничего не меняет."""
    with guarded():
        progress = StderrProgress(is_quiet=as_json)
        try:
            report = lint_planner_file(load(config), file, progress=progress)
        finally:
            progress.close()
    if as_json:
        print_json(report)
    else:
        table = dense_table(title=f"{report.file}: записей в порядке {report.taken}")
        for head in ("лист", "что это", "в порядке", "ошибок", "замечаний"):
            table.add_column(head)
        for sheet in report.sheets:
            counts = (str(sheet.taken), str(sheet.faults), str(sheet.remarks))
            table.add_row(sheet.sheet or "—", LAYOUT_WORDS[sheet.layout], *counts)
        OUT.print(table)
        for fault in report.faults[:SHOWN_LINES]:
            OUT.print(f"{fault.code}  {fault.sentence}", markup=False, soft_wrap=True)
        hidden = sum(report.counts.values()) - min(SHOWN_LINES, len(report.faults))
        if hidden > 0:
            ERR.print(f"ещё {hidden}; все: --json")
    if not report.is_clean:
        raise typer.Exit(Exit.REMARKS if report.taken else Exit.PERSON)


@planner_app.command("template")
def template_command(
    name: Annotated[str, typer.Argument(help="roster, timetable, journal, ktp или plan.")],
    file: Annotated[Path | None, typer.Argument(help="Куда записать; без него NAME.xlsx в этой папке.")] = None,
    force: ForceOption = False,
    config: ConfigOption = None,
) -> None:
    """Записать пустую книгу: заголовки на месте и закрыты, где есть выбор, там список."""
    path = file or Path(f"{name}.xlsx")
    with guarded(), new_file(path, is_forced=force):
        write_planner_template(load(config), name, path)
    OUT.print(f"Записан {path.name}")
