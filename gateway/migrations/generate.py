"""Writes `versions/0001_first.py` from the tables: `python -m gateway.migrations.generate`. A development tool.

Until the first release there is one migration and it may be written anew; afterwards this module writes the next one.
Types are spelled as plain SQLAlchemy, so that a migration means the same when the code's own types have changed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, TypeDecorator, create_engine

from gateway.migrations.models import load_metadata

TARGET = Path(__file__).with_name("versions") / "0001_first.py"

_HEAD = '''"""First schema: all tables, and the triggers that make the append-only ones so.

Written by `python -m gateway.migrations.generate`; a test compares it with the tables.
"""

import sqlalchemy as sa
from alembic import op

from gateway.domain.errors import ConfigurationError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make everything."""
    '''

_TRIGGERS = """

_SQLITE_TRIGGERS = [
{sqlite}]

_POSTGRESQL_TRIGGERS = [
{postgresql}]


def _make_triggers() -> None:
    for statement in _POSTGRESQL_TRIGGERS if op.get_bind().dialect.name == "postgresql" else _SQLITE_TRIGGERS:
        op.execute(statement)
"""

_TAIL = '''

def downgrade() -> None:
    """There is no way back: history would be lost. Restore a backup."""
    raise ConfigurationError("Откат схемы не поддерживается: восстановите резервную копию")
'''


def append_only_names(metadata: MetaData) -> list[str]:
    """Names of the tables declared with `info={"append_only": True}`."""
    return sorted(name for name, table in metadata.tables.items() if table.info.get("append_only"))


def build_sqlite_triggers(table: str, keys: list[str]) -> list[str]:
    """Triggers that refuse a change of a stored row. The third closes INSERT OR REPLACE, which is a silent delete."""
    same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
    stored = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608  # the names come from the metadata
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {stored} {refuse}",
    ]


def build_postgresql_triggers(tables: list[str]) -> list[str]:
    """One function that refuses, and its triggers, TRUNCATE included."""
    statements = [
        "CREATE FUNCTION gateway_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    ]
    for table in tables:
        statements += [
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION gateway_refuse_change()",
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION gateway_refuse_change()",
        ]
    return statements


def build_script(metadata: MetaData) -> str:
    """Render the migration that makes these tables in an empty database, not yet formatted."""
    engine = create_engine("sqlite://")
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"target_metadata": metadata})
        operations = produce_migrations(context, metadata).upgrade_ops
    engine.dispose()
    if operations is None:
        raise RuntimeError("autogenerate gave no operations")
    body = render_python_code(operations, render_item=_render_type, migration_context=context)
    body = "\n".join(line for line in body.splitlines() if not line.lstrip().startswith("# ###")).strip()
    names = append_only_names(metadata)
    call = triggers = ""
    if names:
        sqlite = [
            line
            for name in names
            for line in build_sqlite_triggers(name, [c.name for c in metadata.tables[name].primary_key])
        ]
        postgresql = build_postgresql_triggers(names)
        call = "    _make_triggers()\n"
        triggers = _TRIGGERS.format(sqlite=_quoted(sqlite), postgresql=_quoted(postgresql))
    return f"{_HEAD}{body}\n{call}{triggers}{_TAIL}"


def _quoted(statements: list[str]) -> str:
    return "".join(f"    {statement!r},\n" for statement in statements)


def _render_type(form: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    if form == "type" and isinstance(item, TypeDecorator):
        impl = item.impl_instance
        return f"sa.{impl!r}"
    return False


def main() -> None:
    """Write the file and format it."""
    TARGET.write_text(build_script(load_metadata()), encoding="utf-8")
    for arguments in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
        # S603: the arguments are the two lists above
        subprocess.run([sys.executable, "-m", "ruff", *arguments, str(TARGET)], check=True)  # noqa: S603
    sys.stdout.write(f"{TARGET.name}\n")


if __name__ == "__main__":
    main()
