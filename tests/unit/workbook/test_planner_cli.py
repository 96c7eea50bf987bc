"""gateway planner: the report a teacher is handed, and the templates."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest
import python_calamine
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.lint import lint_workbook
from gateway.connectors.planner.workbook.template import TEMPLATES, write_template
from gateway.domain.reasons import REASONS

ROSTER = [["Фамилия", "Имя", "Класс"], ["Ким", "Роман", "7А"]]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lint(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["planner", "lint", *arguments])
    return result.exit_code, result.stdout


def test_a_clean_book_ends_with_zero(formats: ModuleType) -> None:
    formats.write_xlsx(Path("a.xlsx"), [formats.Page("Список", ROSTER)])

    assert lint("a.xlsx")[0] == 0


def test_a_fault_beside_good_rows_ends_with_three_and_says_where_what_and_what_to_do(formats: ModuleType) -> None:
    formats.write_xlsx(Path("a.xlsx"), [formats.Page("Список", [*ROSTER, ["Цой", "Ли", "х"]])])

    code, out = lint("a.xlsx")

    assert code == 3
    reason = REASONS["WB_CLASS"]
    assert (
        f"WB_CLASS  Файл «a.xlsx», лист «Список», ячейка C3, столбец «Класс»: {reason.what_ru} {reason.todo_ru}" in out
    )


def test_a_book_of_which_nothing_can_be_taken_needs_a_person_and_a_missing_one_is_a_wrong_call(
    formats: ModuleType,
) -> None:
    Path("a.xlsx").write_bytes(b"%PDF")

    assert lint("a.xlsx")[0] == 4
    assert lint("b.xlsx")[0] == 2


def test_json_is_one_object_with_every_fault(formats: ModuleType) -> None:
    formats.write_xlsx(Path("a.xlsx"), [formats.Page("Список", [*ROSTER, ["Цой", None, "х"]])])

    code, out = lint("a.xlsx", "--json")
    told = json.loads(out)

    assert code == 3
    assert (told["file"], told["taken"], told["counts"]) == ("a.xlsx", 1, {"WB_CLASS": 1, "WB_EMPTY_CELL": 1})
    assert told["sheets"] == [{"sheet": "Список", "layout": "roster", "taken": 1, "faults": 2, "remarks": 0}]
    assert [(fault["cell"], fault["row"], fault["column"], fault["head"]) for fault in told["faults"]] == [
        ("B3", 3, "B", "Имя"),
        ("C3", 3, "C", "Класс"),
    ]
    assert all(fault["what"] and fault["todo"] and fault["what_en"] and fault["todo_en"] for fault in told["faults"])


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_read_back_without_a_word(name: str, reader: Reader) -> None:
    result = CliRunner().invoke(app, ["planner", "template", name])

    report = lint_workbook(Path(f"{name}.xlsx"), reader)
    assert result.exit_code == 0
    assert report.is_clean
    assert report.sheets
    assert all(sheet.layout for sheet in report.sheets)


def test_an_unknown_template_is_a_wrong_call() -> None:
    assert CliRunner().invoke(app, ["planner", "template", "x"]).exit_code == 2
    assert not Path("x.xlsx").exists()


@pytest.mark.parametrize(
    "command", [("planner", "template", "roster"), ("calendar", "template"), ("links", "template")]
)
def test_a_template_never_overwrites_a_file_unless_it_is_told_to(command: tuple[str, ...]) -> None:
    Path("filled.xlsx").write_bytes(b"a day's work")

    refused = CliRunner().invoke(app, [*command, "filled.xlsx"])
    kept = Path("filled.xlsx").read_bytes()
    forced = CliRunner().invoke(app, [*command, "filled.xlsx", "--force"])

    assert (refused.exit_code, kept, forced.exit_code) == (2, b"a day's work", 0)
    assert "--force" in refused.stderr
    assert Path("filled.xlsx").read_bytes().startswith(b"PK")


@pytest.mark.parametrize(
    "command", [("planner", "template", "roster"), ("calendar", "template"), ("links", "template")]
)
@pytest.mark.parametrize(("target", "word"), [("absent/a.xlsx", "нет папки absent"), (".", "это папка")])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_template_without_a_place_to_stand_is_a_wrong_call(
    command: tuple[str, ...], target: str, word: str, force: list[str]
) -> None:
    result = CliRunner().invoke(app, [*command, target, *force])

    assert result.exit_code == 2
    assert word in " ".join(result.stderr.split())


def test_the_heads_of_a_template_are_locked_its_cells_are_not_and_choices_are_lists(reader: Reader) -> None:
    import zipfile

    write_template(Path("t.xlsx"), "timetable", reader.year)
    with zipfile.ZipFile("t.xlsx") as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        styles = archive.read("xl/styles.xml").decode()

    assert "<sheetProtection" in sheet
    assert 'protection locked="0"' in styles
    assert 'type="list"' in sheet
    assert "понедельник" in sheet
    assert 'state="frozen"' in sheet


def test_a_filled_template_is_taken_whole(reader: Reader, formats: ModuleType) -> None:
    write_template(Path("t.xlsx"), "journal", reader.year)
    with python_calamine.CalamineWorkbook.from_path("t.xlsx") as book:
        sheets = {
            name: [
                [cell or None for cell in row] for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            ]
            for name in book.sheet_names
        }
    page, finals, remarks = sheets["Журнал"], sheets["Итоги"], sheets["Замечания"]
    for titled in (page, finals):
        titled[0][1:2], titled[1][1:2] = ["7А"], ["Алгебра"]
    head = next(at for at, row in enumerate(page) if "ФИО" in row)
    page[head] += [date(2026, 9, 5), date(2026, 9, 12)]
    page.append([1, "Ким Роман", "н,5(2К)", 4])
    finals.append([1, "Ким Роман", 4, 5, None, None, "зачёт", 5, None])
    at = {head: column for column, head in enumerate(remarks[0])}
    row = [None] * len(at)
    for name, value in {"Дата": "05.09", "Класс": "7А", "Предмет": "Алгебра", "ФИО": "Ким Роман"}.items():
        row[at[name]] = value
    row[at["Замечание"]] = "Забыл тетрадь"
    remarks.append(row)
    formats.write_xlsx(Path("f.xlsx"), [formats.Page(name, rows) for name, rows in sheets.items()])

    report = lint_workbook(Path("f.xlsx"), reader)

    assert report.is_clean
    assert report.taken == 2 + 4 + 1
