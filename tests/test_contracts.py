"""The import contracts of `.importlinter` hold, each of them bites, and what imports can't show is read from the source."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gateway"
LINTER = Path(sys.executable).parent / "lint-imports"

UNUSED_WORDS = {
    "manager",
    "helper",
    "helpers",
    "util",
    "utils",
    "process",
    "handle",
    "handler",
    "data",
    "info",
    "common",
}

# names that other libraries and the portal chose
FOREIGN_NAMES = {
    "handle_starttag",
    "handle_endtag",
    "handle_data",
    "process_bind_param",
    "process_result_value",
    "get_extra_info",
    "SiteInfo",
    "_site_info",
    "_LineHandler",
}

# contract, module that is made to offend, what it imports
OFFENCES = (
    ("floors", "domain/clock.py", "import gateway.audit.deed"),
    ("rings", "store/metadata.py", "import gateway.store.engine\nimport gateway.store.transaction"),
    ("concrete-connectors", "mapping/mesh.py", "import gateway.connectors.mesh.wire"),
    ("strangers", "connectors/mesh/wire.py", "import gateway.connectors.portal.moodle.wire"),
    ("audit-table", "queue/deeds.py", "import gateway.audit.table"),
    ("sandbox", "sandbox/city/codecs.py", "import gateway.connectors.mesh.codecs"),
    ("production", "bootstrap/workbooks.py", "import gateway.sandbox.serve"),
    ("simulation", "sandbox/serve.py", "import gateway.simulation.play"),
    ("deciding", "reconcile/compare.py", "import gateway.store.transaction"),
    ("http", "connectors/mesh/client.py", "import httpx"),
    ("broker", "flows/deliver.py", "import dramatiq"),
    ("servers", "connectors/http.py", "import starlette.requests"),
    ("database", "connectors/pace.py", "import sqlalchemy"),
)

# run in a child, so that modules imported by other tests don't hide what an import does
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.dont_write_bytecode = True
import gateway
effects = []
WATCHED = ("socket.connect", "socket.bind", "sqlite3.connect", "subprocess.Popen", "os.fork", "os.mkdir", "os.remove",
           "os.rename", "_thread.start_new_thread", "os.putenv")
def watch(event, arguments):
    if event in WATCHED or (event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
        effects.append((current, event))
current = ""
sys.addaudithook(watch)
names = sorted(module.name for module in pkgutil.walk_packages(gateway.__path__, "gateway."))
for current in names:
    if not current.startswith("gateway.migrations.versions."):
        importlib.import_module(current)
print(len(names), effects)
"""


def run_linter(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINTER, "--no-cache", "--no-logo", *options], cwd=folder, capture_output=True, text=True, check=False
    )


def iter_trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def contract_names() -> set[str]:
    return set(re.findall(r"^\[importlinter:contract:([\w-]+)\]", (ROOT / ".importlinter").read_text(), re.MULTILINE))


def test_all_import_contracts_are_kept() -> None:
    told = run_linter(ROOT)

    assert told.returncode == 0, told.stdout + told.stderr


def test_every_contract_has_an_offence_that_breaks_it() -> None:
    assert {contract for contract, _, _ in OFFENCES} == contract_names()


@pytest.mark.parametrize(("contract", "module", "statement"), OFFENCES, ids=[offence[0] for offence in OFFENCES])
def test_a_contract_is_broken_by_an_import_against_it(
    contract: str, module: str, statement: str, tmp_path: Path
) -> None:
    shutil.copytree(PACKAGE, tmp_path / "gateway", ignore=shutil.ignore_patterns("__pycache__", "*.gz"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    offender = tmp_path / "gateway" / module
    offender.write_text(offender.read_text(encoding="utf-8") + f"\n{statement}\n", encoding="utf-8")

    told = run_linter(tmp_path, "--contract", contract)

    assert told.returncode == 1, told.stdout + told.stderr
    assert "BROKEN" in told.stdout


def test_importing_any_module_opens_starts_and_writes_nothing() -> None:
    told = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=False)

    assert told.returncode == 0, told.stderr
    assert re.fullmatch(r"\d{2,} \[\]\n", told.stdout)


def test_only_the_audit_log_inserts_entries() -> None:
    writers = {
        path
        for path, tree in iter_trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("insert", "update", "delete", "upsert")
        and any(isinstance(argument, ast.Name) and argument.id == "audit_entry" for argument in node.args)
    }

    assert writers == {"gateway/audit/log.py"}


def test_imports_of_the_package_are_absolute() -> None:
    relative = [path for path, tree in iter_trees() for node in ast.walk(tree) if getattr(node, "level", 0)]

    assert relative == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path, tree in iter_trees() if not ast.get_docstring(tree)]

    assert silent == []


def test_names_do_without_the_words_that_say_nothing() -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = {(path, node.name) for path, tree in iter_trees() for node in ast.walk(tree) if isinstance(node, kinds)} | {
        (path, Path(path).stem) for path, _ in iter_trees()
    }

    empty = {
        (path, name)
        for path, name in names
        if name not in FOREIGN_NAMES and UNUSED_WORDS & {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", name)}
    }
    assert empty == set()


def test_test_folders_are_no_packages_and_no_two_test_modules_share_a_name() -> None:
    modules = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]

    assert [path for path in modules if path.name == "__init__.py"] == []
    assert sorted({path.name for path in modules}) == sorted(path.name for path in modules)
