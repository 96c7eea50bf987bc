"""Prose rots where nothing checks it: what the code has is in the docs, and what the docs name is there."""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from typer.main import get_command

from docs.generate import build_pages
from docs.pages.commands import iter_commands
from docs.pages.errors import INNER_ERRORS, iter_errors
from docs.pages.settings import iter_settings, nested_model
from gateway import api
from gateway.__main__ import app
from gateway.api.app import require_policy
from gateway.domain.errors import GatewayError
from gateway.domain.reasons import REASONS
from gateway.migrations.models import load_metadata
from gateway.sandbox.city.app import build_city_app
from gateway.sandbox.city.switches import Switches
from gateway.sandbox.faults import COMMON_FAULTS
from gateway.sandbox.portal.edits import EDITS
from gateway.sandbox.portal.lapses import OWN_FAULTS
from gateway.settings import GatewaySettings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PROSE = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "gateway").rglob("*.md")])
SKIPPED = {
    ".git",
    ".venv",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".import_linter_cache",
    "__pycache__",
}

LOGGING = {"debug", "info", "warning", "error", "exception", "critical"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
EVENT = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_]*")

# spelled with a bracket in each, so that this file is no offender itself
FOREIGN_PLACES = re.compile(
    r"\.\./s[h]ared"
    r"|(?<![\w.~*])/(?:w[o]rk|r[o]ot|t[m]p|o[p]t|h[o]me)/"
    r"|py[p]i\.org|python[h]osted|npm[j]s"
    r"|issues? sh[o]w\b|\.lib[r]ary/"
)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def named_in(page: Path) -> set[str]:
    """Everything that stands between backticks."""
    return set(re.findall(r"`([^`\n]+)`", read(page)))


def code_blocks(page: Path) -> list[list[str]]:
    return [
        block.strip("\n").splitlines()
        for block in re.findall(r"^```\w*\n(.*?)^```", read(page), re.MULTILINE | re.DOTALL)
    ]


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def iter_text_files() -> Iterator[Path]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [
            name for name in folders if name not in SKIPPED and not name.startswith(("gateway-demo", "dist", "build"))
        ]
        for name in files:
            if name in SKIPPED:
                continue  # in a second worktree of git, .git is a file
            path = Path(folder, name)
            if path.suffix not in {".gz", ".pyc", ".sqlite", ".xlsx", ".png"} and ".sqlite" not in name:
                yield path


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def constants_of(node: ast.AST, tables: dict[str, list[str]]) -> Iterator[str]:
    """Yield the event names that an expression may come to; `f"operation.{NAMES[x]}"` goes through the table NAMES."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.JoinedStr):
            first = inner.values[0]
            for part in inner.values[1:]:
                for name in ast.walk(part):
                    if isinstance(name, ast.Name) and name.id in tables and is_text(first):
                        yield from (ast.literal_eval(first) + end for end in tables[name.id])
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and EVENT.fullmatch(inner.value):
            yield inner.value


def iter_events(tree: ast.Module) -> Iterator[str]:
    """Yield log events and audit actions: `action=…`, a variable `action`, a ledger's or logger's call, `…_EVENT`."""
    tables = {
        target.id: [ast.literal_eval(value) for value in node.value.values if is_text(value)]
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "action":
                    yield from constants_of(keyword.value, tables)
            attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            owner = ast.unparse(node.func.value).lower() if isinstance(node.func, ast.Attribute) else ""
            if (attribute in LOGGING and "log" in owner) or (attribute == "write" and "ledger" in owner):
                for argument in node.args:
                    yield from constants_of(argument, tables)
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if any(name == "action" or name.endswith("_EVENT") for name in names):
                yield from constants_of(node.value, tables)


def all_events() -> set[str]:
    sources = [path for path in (ROOT / "gateway").rglob("*.py") if "sandbox" not in path.parts]
    return {event for path in sources for event in iter_events(ast.parse(read(path)))}


def test_generated_pages_are_what_the_code_says_today() -> None:
    stale = [path.name for path, text in build_pages().items() if read(path) != text]

    assert stale == [], "run `make docs`"


def test_every_setting_is_documented_with_its_meaning() -> None:
    told = named_in(REFERENCE / "settings.md")

    for group, field in GatewaySettings.model_fields.items():
        model = nested_model(field.annotation)
        assert model is not None
        for path, setting in iter_settings(model, group):
            assert path in told
            assert setting.description, f"{path} says neither meaning nor reason"


def test_every_command_and_option_is_documented_and_says_what_it_does() -> None:
    text = read(REFERENCE / "cli.md")

    for words, command in iter_commands(get_command(app), ("gateway",)):
        assert f"## {' '.join(words)}\n" in text
        assert command.help, f"{' '.join(words)} has no help"
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{' '.join(words)}: {parameter.name} has no help"


def test_every_error_class_is_documented() -> None:
    defined = {
        node.name
        for path in (ROOT / "gateway").rglob("*.py")
        if "sandbox" not in path.parts
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
    }
    in_the_tree = {error.__name__ for _, error in iter_errors(GatewayError)}

    inner = {error.__name__ for error in INNER_ERRORS}

    assert in_the_tree | inner <= named_in(REFERENCE / "errors.md")
    assert defined == in_the_tree | inner, "an error outside the tree tells nobody what to do next"


def test_every_reason_code_is_documented() -> None:
    assert set(REASONS) <= named_in(REFERENCE / "reasons.md")


def test_every_log_event_and_audit_action_is_documented_and_no_other() -> None:
    told = {name for name in named_in(REFERENCE / "events.md") if EVENT.fullmatch(name)}

    assert all_events() == told


def test_every_table_stands_in_the_architecture() -> None:
    told = named_in(DOCS / "architecture.md")

    assert set(load_metadata().tables) <= told


def test_every_switch_fault_edit_and_control_call_of_the_sandboxes_is_documented() -> None:
    told = named_in(REFERENCE / "city-sandbox.md")
    control = {
        path for path in (getattr(route, "path", "") for route in build_city_app().routes) if "__sandbox" in path
    }

    assert set(Switches.model_fields) <= told
    assert set(EDITS) <= told
    assert told >= COMMON_FAULTS | OWN_FAULTS
    assert control <= told


@pytest.mark.parametrize("page", PROSE, ids=[path.relative_to(ROOT).as_posix() for path in PROSE])
def test_every_local_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(read(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        reached = (page.parent / name).resolve() if name else page
        assert reached.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in anchors(reached), f"{target}: no such title"


@pytest.mark.parametrize("page", PROSE, ids=[path.relative_to(ROOT).as_posix() for path in PROSE])
def test_every_test_and_file_that_a_page_names_exists(page: Path) -> None:
    for name in named_in(page):
        file, _, test = name.partition("::")
        if not re.fullmatch(r"(gateway|tests|benchmarks|docs)/[\w./-]+(\.\w+|/)", file):
            continue
        assert (ROOT / file).exists(), f"{file} is not there"
        if test:
            assert re.search(rf"^def {test}\(", read(ROOT / file), re.MULTILINE), f"{name} is not there"


def test_every_page_of_docs_can_be_reached_from_the_index() -> None:
    reached: set[Path] = set()
    ahead = [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        linked = {(page.parent / target.partition("#")[0]).resolve() for target in LINK.findall(read(page))}
        ahead += [path for path in linked if path.suffix == ".md" and path.exists() and path not in reached]

    assert set(DOCS.rglob("*.md")) <= reached


@pytest.mark.parametrize("readme", ["README.md", "README.ru.md"])
def test_the_readme_opens_with_two_commands_of_one_line_each(readme: str) -> None:
    page = ROOT / readme
    first, second = code_blocks(page)[:2]

    assert len(first) == len(second) == 1
    assert "gateway demo" in first[0]
    assert "pytest" in second[0]
    assert read(page).index(second[0]) < read(page).index("## ")


def test_both_readmes_have_the_same_commands() -> None:
    assert code_blocks(ROOT / "README.md")[:2] == code_blocks(ROOT / "README.ru.md")[:2]


def test_ci_runs_the_readmes_test_command_and_writes_none_of_its_own() -> None:
    script = read(ROOT / ".ci" / "run")

    assert "command=$(readme_command pytest)" in script
    assert 'bash -c "$command"' in script
    assert "bin/pytest" not in script


def readme_table(title: str) -> list[list[str]]:
    section = read(ROOT / "README.md").split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in row] for row in rows]


def imported_by(path: Path) -> set[str]:
    tree = ast.parse(read(path))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return {module.partition(".")[0] for module in modules}


def test_the_nine_packages_are_imported_where_the_readme_says() -> None:
    rows = readme_table("The nine packages")

    assert [row[0] for row in rows] == [
        "httpx", "pydantic", "tenacity", "sqlalchemy", "dramatiq", "redis", "structlog", "respx", "pytest",
    ]  # fmt: skip
    for package, module, test in rows:
        assert package in imported_by(ROOT / module), f"{module} does not import {package}"
        assert "::test_" in test


def test_the_cards_folders_stand_where_the_readme_says() -> None:
    rows = readme_table("The card → here")

    assert [row[0] for row in rows] == [
        "gateway/", "connectors/mesh/", "connectors/portal/", "mapping/", "queue/", "audit/", "tests/", "pyproject.toml", "README.md",
    ]  # fmt: skip


def test_the_constraints_carry_a_hash_for_each_version_and_no_address() -> None:
    for name in ("constraints.txt", "constraints-test.txt"):
        text = read(ROOT / name)
        pins = re.findall(r"^[a-z0-9][\w.-]*(?:\[[\w,]+\])?==\S+.*\\$", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 30
        assert "://" not in text
        assert not re.search(r"^-", text, re.MULTILINE)


def test_every_dependency_of_the_project_is_locked() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    wanted = {
        "constraints.txt": [*project["dependencies"], *extras["postgres"], "hatchling"],
        "constraints-test.txt": [*project["dependencies"], *extras["postgres"], *extras["test"], "hatchling"],
    }

    for name, requirements in wanted.items():
        locked = set(re.findall(r"^([a-z0-9][\w.-]*)", read(ROOT / name), re.MULTILINE))
        asked = {re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}
        assert asked <= locked, f"{name}: make lock"


def test_what_runs_is_what_is_tested() -> None:
    def versions(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9][^ ]*==[^ ;]+)", read(ROOT / name), re.MULTILINE))

    assert versions("constraints.txt") < versions("constraints-test.txt")


def test_no_file_names_a_place_outside_the_repository() -> None:
    offenders = {
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in iter_text_files()
        if (found := FOREIGN_PLACES.search(path.read_text(encoding="utf-8", errors="replace")))
    }

    assert offenders == set()


def test_the_tree_of_the_running_interpreter_is_this_one() -> None:
    """The tests speak of the files beside them, so the package must be the one beside them."""
    import gateway

    assert Path(gateway.__file__).parent == ROOT / "gateway", sys.path


def test_the_table_of_rights_names_every_route_that_the_door_serves() -> None:
    modules = [import_module(f"gateway.api.{one.name}") for one in iter_modules(api.__path__)]
    served = [require_policy(one.routes.routes) for one in modules if hasattr(one, "routes")]
    table = (REFERENCE / "access.md").read_text(encoding="utf-8").partition("## Routes")[2]

    missing = [
        f"{action.value}: {name}"
        for routes in served
        for name, action in routes.items()
        if not re.search(rf"^\| `{re.escape(action.value)}` \|.*`{re.escape(name)}`", table, re.MULTILINE)
    ]

    assert len(served) > 10
    assert missing == []
