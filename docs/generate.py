"""Makes the pages of `docs/reference` that repeat the code: settings, reasons, errors, the command line, the planner's
door, the fault matrix.

`python -m docs.generate` (or `make docs`) writes them; `tests/test_docs.py` fails while a page differs from what this
module would write. Nothing else writes these pages, and what is said in them is said in the code first.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, SecretStr

from gateway.__main__ import app
from gateway.access.policy import POLICY, Action
from gateway.access.roles import Reach, Role
from gateway.api.app import PREFIX, ROUTE_MODULES, require_policy
from gateway.connectors.mesh.codecs import FormError
from gateway.connectors.planner.door.schema import build_schema
from gateway.connectors.planner.door.wire import ROWS, Batch, EntryRow, Page
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.layouts import LAYOUTS, Layout
from gateway.connectors.planner.workbook.marks import ABSENCES, FORMS
from gateway.connectors.planner.workbook.sheets import DEFAULT_CAPS
from gateway.domain import errors
from gateway.domain.discrepancies import TYPE_TEXTS, Choice
from gateway.domain.errors import GatewayError
from gateway.domain.reasons import REASONS
from gateway.settings import GatewaySettings

REFERENCE = Path(__file__).parent / "reference"
MADE_BY = "<!-- Made by docs/generate.py from the code: change it there, then `make docs`. -->\n"

# the longest ending first
UNITS = (
    ("_per_s", "a second"),
    ("_s", "seconds"),
    ("_hours", "hours"),
    ("_bytes", "bytes"),
    ("_ratio", "share, 0–1"),
    ("_count", "count"),
    ("_id", "id"),
    ("days_back", "days"),
    ("_days", "days"),
    ("parallel", "calls"),
    ("threads", "threads"),
    ("from_day", "days from the run's day"),
    ("to_day", "days from the run's day"),
    ("_hour", "hour of the day"),
    ("_minutes", "minutes"),
    ("bells", "list of times"),
    ("max_claims", "claims"),
    ("max_attempts", "attempts"),
)
REACHES = {
    Reach.ANYONE: "nothing of a child is shown, or it is counted and nobody is named",
    Reach.SELF: "a pupil's relation `self`",
    Reach.OWN_CHILD: "a relation `guardian` that holds today and is not restricted",
    Reach.OWN_CLASS: "a relation `leads` to the pupil's class",
    Reach.OWN_GROUP: "a relation `teaches` to the group, substitutions within their days; the group's own marks, not all of its pupils'",
    Reach.OWN_PROGRAMME: "a relation `curates` to the programme",
    Reach.OWN_DEEDS: "only what this account started",
    Reach.SCHOOL: "the role alone",
    Reach.PSEUDONYMS: "the role alone; reasons, states and pseudonyms instead of names and values",
    Reach.VEILED: "the role alone gives reasons, states and pseudonyms; names and values while it has broken the glass",
    Reach.GLASS: "an hour after a written reason (`glass.break`); those who lead get an alert",
}
INNER_ERRORS = (FormError, CellError)
"""Raised and caught inside one connector; they tell a wire model or a reader that a field does not fit."""
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


def build_settings_page() -> str:
    """Build the table of all settings, a section a group."""
    lines = [
        MADE_BY,
        "# Settings",
        "",
        "One file, `gateway.toml` (or `--config FILE`), and the environment. A variable `GATEWAY_<GROUP>__<FIELD>` wins over the",
        "file; the environment alone suffices, and a list there is JSON. An unknown name refuses to start, and so does a wrong value: the message names the",
        "setting and never the value. Secrets stand better in a file of their own (`…_file`) than in the TOML; no command prints",
        "them. `gateway init` writes a commented file, readable by its owner only, and `gateway check` says what is still missing.",
        "Relative paths count from the working folder of the command, wherever the file lies; a service sets its own.",
        "",
        "What is sent at all, the dictionaries and the rules stand in a second file that the school edits: see",
        "`school.mapping_file` below.",
    ]
    for name, field in GatewaySettings.model_fields.items():
        group = _nested_model(field.annotation)
        if group is None:
            raise TypeError(f"setting {name} stands in no group")
        lines += [
            "",
            f"## [{name}]",
            "",
            "| setting | environment | unit or kind | default | meaning and reason |",
            "|---|---|---|---|---|",
        ]
        lines += [_setting_row(path, model_field) for path, model_field in iter_settings(group, name)]
    return "\n".join(lines) + "\n"


def iter_settings(group: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, field) of a group's settings, the nested ones too; a table by name reads `NAME`."""
    for name, field in group.model_fields.items():
        nested = _nested_model(field.annotation)
        if nested is None:
            yield f"{prefix}.{name}", field
        elif typing.get_origin(field.annotation) is dict:
            yield from iter_settings(nested, f"{prefix}.{name}.NAME")
        else:
            yield from iter_settings(nested, f"{prefix}.{name}")
    if group.model_config.get("extra") == "allow":
        # tables by a name of the school's own stand beside the group's fields
        named = typing.get_args(typing.get_type_hints(group)["__pydantic_extra__"])[1]
        yield from iter_settings(named, f"{prefix}.NAME")


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *typing.get_args(annotation))
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _setting_row(path: str, field: Any) -> str:
    variable = f"GATEWAY_{path.replace('.', '__').upper()}"
    unit = next((unit for ending, unit in UNITS if path.endswith(ending)), _kind(field.annotation))
    return f"| `{path}` | `{variable}` | {unit} | {_default(field)} | {_cell(field.description or '')} |"


def _kind(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return ""
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(kind for kind in map(_kind, typing.get_args(annotation)) if kind)
    if typing.get_origin(annotation) is tuple:
        return "list of texts" if typing.get_args(annotation)[0] is str else "list"
    names = {
        date: "day",
        str: "text",
        int: "number",
        float: "number",
        bool: "true or false",
        Path: "path",
        SecretStr: "secret",
    }
    return names.get(annotation, str(annotation))


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`" + ", ".join(map(str, value)) + "`"
    return f"`{value}`"


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
            f"| `{reason.code}` | {_cell(reason.what_en)}<br>{_cell(reason.what_ru)} "
            f"| {_cell(reason.todo_en)}<br>{_cell(reason.todo_ru)} | {reason.owner} |"
            for reason in rows
        ]
    return "\n".join(lines) + "\n"


def build_discrepancies_page() -> str:
    """Build the table of discrepancy types, what each means, and what may be chosen."""
    lines = [
        MADE_BY,
        "# Types of discrepancies",
        "",
        "Whose move it is follows from the reason code of the decision that opened it ([reasons.md](reasons.md)); a quarrel of two writers",
        "is the deputy head's. How to settle them: [../how-to/discrepancies.md](../how-to/discrepancies.md).",
        "",
        "| type | what it is | what to do | choices |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{type_.value}` | {_cell(text.what_en)}<br>{_cell(text.what_ru)} "
        f"| {_cell(text.todo_en)}<br>{_cell(text.todo_ru)} | {', '.join(f'`{one.value}`' for one in text.choices)} |"
        for type_, text in TYPE_TEXTS.items()
    ]
    lines += ["", "## Choices", "", "| choice | what it does |", "|---|---|"]
    told = (inspect.getdoc(Choice) or "").splitlines()
    lines += [
        f"| `{name.strip().lower()}` | {_cell(text.strip())} |"
        for name, _, text in (line.partition(":") for line in told if line.startswith("    "))
    ]
    return "\n".join(lines) + "\n"


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
        f"| {'· ' * depth}`{error.__name__}` | {error.recovery.name} | `{error.reason}` | {_cell(_first_sentence(error))} |"
        for depth, error in iter_errors(GatewayError)
    ]
    lines += ["", "## Recoveries", "", "| recovery | what follows |", "|---|---|"]
    comments = {
        line.split("=")[0].strip(): line.split("#", 1)[1].strip()
        for line in inspect.getsource(errors.Recovery).splitlines()
        if "=" in line and "#" in line
    }
    lines += [f"| {recovery.name} | {_cell(comments[recovery.name])} |" for recovery in errors.Recovery]
    lines += [
        "",
        "## Inside one connector",
        "",
        "A wire model or a reader catches it, and the row becomes a fault or a `ContractError`.",
        "",
    ]
    lines += [f"- `{error.__name__}` (`{error.__module__}`): {_first_sentence(error)}" for error in INNER_ERRORS]
    return "\n".join(lines) + "\n"


def iter_errors(error: type[GatewayError], depth: int = 0) -> Iterator[tuple[int, type[GatewayError]]]:
    """Yield (depth, class) of the tree under `error`, in the order of the source."""
    yield depth, error
    for child in error.__subclasses__():
        if not child.__module__.startswith("gateway."):
            continue  # a test's own
        yield from iter_errors(child, depth + 1)


def _first_sentence(error: type) -> str:
    return (inspect.getdoc(error) or "").split("\n\n")[0].replace("\n", " ")


def build_cli_page() -> str:
    """Build the list of commands with their arguments and options."""
    lines = [
        MADE_BY,
        "# Command line",
        "",
        "Answers go to stdout, everything else to stderr; with `--json` stdout is one JSON object and nothing else. The texts are",
        "the ones that `--help` shows. Exit codes: 0 done, 1 fault, 2 usage or settings, 3 done with remarks, 4 needs a person,",
        "5 paused.",
    ]
    for words, command in iter_commands(typer.main.get_command(app), ("gateway",)):
        lines += ["", f"## {' '.join(words)}", "", _cell(inspect.cleandoc(command.help or ""))]
        rows = [_parameter_row(parameter) for parameter in command.params if "--help" not in parameter.opts]
        if rows:
            lines += ["", "| argument or option | meaning |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def iter_commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (words, command) of the tree under `command`; a group that only holds others too."""
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from iter_commands(child, (*words, name))


def _parameter_row(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [(parameter.name or "").upper()]
    must = " (required)" if parameter.required else ""
    return f"| {', '.join(f'`{name}`' for name in names)}{must} | {_cell(getattr(parameter, 'help', None) or '')} |"


_DOOR_HEAD = """
# The planner's door

What a planning platform gives the gateway, whichever way it does: the same rows in the same spelling. The models that read them make this
page and [planner-door.schema.json](planner-door.schema.json); a field that is not listed is refused, a row that does not fit is parked
with its place, and the others are kept.

| way | set | how |
|---|---|---|
| pulled by HTTP | `planner.door_url`, `planner.token` | `GET /v1/BOOK?page=N&size=500` for `people`, `subjects`, `groups`; `GET /v1/groups/ID/BOOK?page=N&size=500` for the others; `Authorization: Bearer TOKEN` |
| read in a database | `planner.sql_url`, `[planner.sql]` | a SELECT a book, columns named as the fields; `members` (`group`, `person`, `role`) instead of the lists in `groups`; books of a group have `:group`; the connection is read only |
| pushed | `planner.accepts_push` | `PUT /api/v1/planner/books` with a token for `planner.push`: a whole book a batch, `people`, `subjects` and `groups` first; an older `revision` is refused, the same one changes nothing |

Try it: `gateway sandbox planner --pupils 50`, which misbehaves on request ([city-sandbox.md](city-sandbox.md)).
A book is whole or it is not used: pages of one `revision`, `total` rows in all, no id twice. Moments carry their offset, days are civil
days in Moscow. Ids are the planner's own, constant for ever, without spaces, `|` and `/`.
"""


def build_door_page() -> str:
    """Build the contract of the planner's door from its wire models."""
    lines = [MADE_BY.rstrip(), *_DOOR_HEAD.splitlines()]
    named: list[tuple[str, type[BaseModel]]] = [
        *ROWS.items(),
        ("entry", EntryRow),
        ("page (answered)", Page),
        ("batch (pushed)", Batch),
    ]
    for name, model in named:
        lines += [
            "",
            f"## {name}",
            "",
            _first_sentence(model),
            "",
            "| field | type | default | meaning |",
            "|---|---|---|---|",
        ]
        properties = model.model_json_schema()["properties"]
        for field_name, field in model.model_fields.items():
            default = "required" if field.is_required() else f"`{json.dumps(field.default)}`"
            kind = _cell(_door_kind(properties[field_name]))
            lines.append(f"| `{field_name}` | {kind} | {default} | {_cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def _door_kind(schema: dict[str, Any]) -> str:
    """Spell a JSON Schema in a word or two; its limits stand in the schema itself."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_door_kind(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "$ref" in schema:
        return "object, see `entry`"
    if schema.get("type") == "array":
        return f"list of {_door_kind(schema.get('items', {'type': 'object'}))}"
    return str(schema.get("format", schema.get("type", "object")))


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
                lines.append(f"| {row.id} | {_cell(row.fault)} | {_cell(row.expected)} | {row.must} | {_cell(said)} |")
    return "\n".join(lines) + "\n"


def _load_matrix() -> types.ModuleType:
    """The tests' own module; tests are no package, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location(
        "fault_matrix", Path(__file__).parent.parent / "tests" / "fault_matrix.py"
    )
    if spec is None or spec.loader is None:
        raise ImportError("tests/fault_matrix.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def build_access_page() -> str:
    """Build the table of who may do what, with the routes that ask for each action."""
    routes: dict[Action, list[str]] = {}
    for module in ROUTE_MODULES:
        for name, action in require_policy(module.routes.routes).items():
            routes.setdefault(action, []).append(name)
    lines = [
        MADE_BY,
        "# Who may do what",
        "",
        "One table for the HTTP door and the command line; source: `gateway/access/policy.py`. What has no cell is not there for the role: the",
        "answer is the same 404 as for something that does not exist. One role is active in a request. Routes stand under",
        f"`{PREFIX}`; the whole contract is its `/openapi.json`. How accounts are made: [accounts](../how-to/accounts.md).",
        "",
        "| action | " + " | ".join(role.value for role in Role) + " | OS user |",
        "|---|" + "---|" * (len(Role) + 1),
    ]
    lines += [
        f"| `{row.action.value}` | "
        + " | ".join(reach.value if (reach := row.reach_of(role)) else "–" for role in Role)
        + f" | {'✔' if row.operator else '–'} |"
        for row in POLICY.values()
    ]
    lines += ["", "## How far a right reaches", "", "| reach | what it needs |", "|---|---|"]
    lines += [f"| {reach.value} | {REACHES[reach]} |" for reach in Reach]
    lines += ["", "## Routes", "", "| action | routes |", "|---|---|"]
    lines += [
        f"| `{action.value}` | {', '.join(f'`{name}`' for name in routes.get(action, [])) or 'command line only'} |"
        for action in Action
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """One line that does not end its table cell."""
    return " ".join(text.split()).replace("|", "\\|")


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
        stems = ", ".join(f"`{_cell(stem)}`" for stem in column.stems)
        yield f"| {column.head} | {', '.join(column.words)} | {stems} | {column.hint} |"


def main() -> None:
    """Write the pages and name those that changed."""
    for path, text in build_pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stderr.write(f"written: {path.name}\n")


if __name__ == "__main__":
    main()
