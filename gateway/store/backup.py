"""Copies of a whole database, and putting one back: SQLite by its backup API, PostgreSQL by its own tools.

Copying a live SQLite file by any other means gives a useless copy nearly every time, some of them silently stale (M18).
A copy is written beside its name and gets it only when it is whole, checked and on the disk. What a copy means (epoch,
audit, erasures) is decided above, in `flows`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, func, inspect, select
from sqlalchemy.pool import NullPool

from gateway.domain.errors import ConfigurationError, GatewayError
from gateway.store.metadata import metadata

SQLITE_MAGIC = b"SQLite format 3\x00"
DUMP_MAGIC = b"PGDMP"
_BLOCK_BYTES = 1 << 20
_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}
"""libpq's variables: a password in the arguments could be read by every user of the machine."""


def find_dialect(path: Path) -> str:
    """Which database a copy is of, by its first bytes: `sqlite` or `postgresql`.

    Raises:
        ConfigurationError: It can't be read, or is no copy of a database.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(SQLITE_MAGIC))
    except OSError as exc:
        raise ConfigurationError(f"Файл копии {path.name} не читается") from exc
    if head == SQLITE_MAGIC:
        return "sqlite"
    if head.startswith(DUMP_MAGIC):
        return "postgresql"
    raise ConfigurationError(f"Файл {path.name} не копия базы: ни SQLite, ни выгрузка PostgreSQL")


def hash_file(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def make_private(path: Path) -> None:
    """Make an empty file that only its owner reads; an older one of that name goes.

    Raises:
        ConfigurationError: It can't be made.
    """
    try:
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as exc:
        raise ConfigurationError(f"Файл {path.name} не создаётся: проверьте папку, права и место") from exc


def sync_file(path: Path) -> None:
    """Bring a file and its name to the disk."""
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def copy_sqlite(engine: Engine, path: Path) -> None:
    """Copy a live database as of one moment into a new file; writers go on meanwhile.

    Raises:
        ConfigurationError: A database in memory, or the file can't be made.
        GatewayError: It could not be written whole (disk full); the file is gone then.
    """
    if engine.url.database in (None, "", ":memory:"):
        raise ConfigurationError("База в памяти не копируется")
    copy_sqlite_file(engine, path)


def copy_sqlite_file(engine: Engine, path: Path) -> None:
    """As `copy_sqlite`, of an engine that is known to stand on a file (`open_copy`).

    Raises:
        ConfigurationError: The file can't be made.
        GatewayError: It could not be written whole; the file is gone then.
    """
    make_private(path)
    try:
        with engine.connect() as conn, closing(sqlite3.connect(path)) as target:
            source = cast("sqlite3.Connection", conn.connection.dbapi_connection)
            source.backup(target)  # all pages in one step: in WAL mode that is one snapshot
            target.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    except (sqlite3.Error, OSError) as exc:
        path.unlink(missing_ok=True)
        raise GatewayError("Копия не записана: проверьте место на диске; прежние копии не тронуты") from exc


def check_sqlite(path: Path) -> None:
    """Check a copy's every page and every reference.

    Raises:
        GatewayError: It is damaged.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as conn:
            answers = [row[0] for row in conn.execute("PRAGMA integrity_check")]
            dangling = conn.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.Error as exc:
        raise GatewayError(f"Копия {path.name} повреждена: не открывается") from exc
    if answers != ["ok"] or dangling is not None:
        raise GatewayError(f"Копия {path.name} повреждена: проверка целостности не прошла")


def open_copy(path: Path) -> Engine:
    """Open a SQLite copy for reading only; nothing in it or beside it changes."""
    where = f"file:{quote(str(path))}?mode=ro&immutable=1"
    return create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(where, uri=True), poolclass=NullPool, hide_parameters=True
    )


def release_sqlite(path: Path) -> None:
    """Take the log of a database that is to be replaced into its file, which proves that nobody else has it open.

    A log left beside would be applied to whatever file gets the name. A file that is no database any more is left as it
    is, with its log moved aside.

    Raises:
        ConfigurationError: Another process has it open.
    """
    try:
        with closing(sqlite3.connect(path, timeout=0.2)) as conn:
            mode = conn.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
    except sqlite3.OperationalError as exc:
        if "locked" in str(exc) or "busy" in str(exc):
            raise ConfigurationError("База открыта другим процессом: остановите gateway и повторите") from exc
        mode = "delete"
    except sqlite3.DatabaseError:
        mode = "delete"  # damaged, which is why it is being replaced
    if mode != "delete":
        raise ConfigurationError("База открыта другим процессом: остановите gateway и повторите")
    for end in ("-wal", "-shm"):
        log = path.with_name(path.name + end)
        if log.exists():
            log.replace(path.with_name(f"{path.name}.replaced{end}"))


def replace_sqlite(fresh: Path, path: Path) -> Path | None:
    """Put a prepared file in the place of the database in one step; the old one stays under another name.

    Returns:
        Where the old one is; None where there was none.
    """
    kept = path.with_name(f"{path.name}.replaced")
    if path.exists():
        kept.unlink(missing_ok=True)
        os.link(path, kept)
    fresh.replace(path)
    sync_file(path)
    return kept if kept.exists() else None


def load_schema_name(conn: Connection) -> str:
    """The PostgreSQL schema that this connection's tables stand in."""
    return str(conn.execute(select(func.current_schema())).scalar_one())


def dump_postgresql(engine: Engine, path: Path, *, schema: str, snapshot: str) -> None:
    """Dump one schema in pg_dump's custom format, as of an exported snapshot.

    Raises:
        ConfigurationError: pg_dump is missing, or the file can't be made.
        GatewayError: It failed; the file is gone then.
    """
    tool = _find_tool("pg_dump")
    make_private(path)
    arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--schema={schema}", f"--snapshot={snapshot}"]
    answer = _run([tool, *arguments, f"--file={path}"], _environment(engine))
    if answer.returncode != 0:
        path.unlink(missing_ok=True)
        raise GatewayError("Копия не записана: pg_dump не закончил (место на диске, права, версия не старше сервера)")


def list_dump(path: Path) -> list[str]:
    """Read a dump's table of contents, line by line, which proves that it is one and whole up to its index.

    Raises:
        ConfigurationError: pg_restore is missing.
        GatewayError: The dump is damaged.
    """
    answer = _run([_find_tool("pg_restore"), "--list", str(path)], None)
    if answer.returncode != 0:
        raise GatewayError(f"Копия {path.name} повреждена: pg_restore не читает её оглавления")
    return [line for line in answer.stdout.splitlines() if line and not line.startswith(";")]


def restore_postgresql(engine: Engine, path: Path, *, after: Sequence[str]) -> None:
    """Replace our tables by those of a dump, in one transaction that also runs the statements that make them safe.

    Args:
        engine: The database; its current schema must be the dump's.
        path: The dump.
        after: SQL with `{schema}` for the quoted schema, run before anybody can see the restored tables.

    Raises:
        ConfigurationError: A tool is missing, or the dump is of another schema.
        GatewayError: Nothing was changed.
    """
    tools = _find_tool("pg_restore"), _find_tool("psql")
    contents = list_dump(path)
    with engine.connect() as conn:
        schema = load_schema_name(conn)
        present = set(inspect(conn).get_table_names())
    tables = [parts for line in contents if (parts := line.split())[3] == "TABLE" and parts[4] != "DATA"]
    dumped = {parts[5] for parts in tables}
    if any(parts[4] != schema for parts in tables):
        raise ConfigurationError("Копия сделана с другой схемы PostgreSQL: задайте её в database.url")
    quoted = engine.dialect.identifier_preparer.quote_identifier(schema)
    ours = sorted(present & ({*metadata.tables, "alembic_version"} | dumped))
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder, "names"), Path(folder, "before.sql"), Path(folder, "dump.sql"), Path(folder, "after.sql")
        chosen, before, script, final = names
        chosen.write_text("\n".join(line for line in contents if line.split()[3] != "SCHEMA") + "\n")
        before.write_text(_clearing(quoted, ours), encoding="utf-8")
        final.write_text("".join(f"{line.format(schema=quoted)};\n" for line in after), encoding="utf-8")
        make_private(script)
        made = _run(
            [tools[0], "--no-owner", "--no-privileges", f"--use-list={chosen}", f"--file={script}", str(path)], None
        )
        if made.returncode != 0:
            raise GatewayError(f"Копия {path.name} повреждена: pg_restore не дочитал её")
        files = [f"--file={name}" for name in (before, script, final)]
        flags = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        done = _run([tools[1], *flags, *files], _environment(engine))
    if done.returncode != 0:
        raise GatewayError("База не восстановлена и осталась прежней: она занята другим процессом или не хватает прав")


def _clearing(schema: str, tables: Iterable[str]) -> str:
    named = ", ".join(f'{schema}."{table}"' for table in tables)
    lines = ["SET lock_timeout = '5s';", f"CREATE SCHEMA IF NOT EXISTS {schema};"]
    if named:
        lines.append(f"DROP TABLE IF EXISTS {named} CASCADE;")
    lines.append(f"DROP FUNCTION IF EXISTS {schema}.gateway_refuse_change() CASCADE;")
    return "\n".join(lines) + "\n"


def _find_tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(f"Нет программы {name}: установите клиент PostgreSQL не старше сервера")
    return found


def _environment(engine: Engine) -> Mapping[str, str]:
    _, named = engine.dialect.create_connect_args(engine.url)
    return {_ENVIRONMENT[name]: str(value) for name, value in named.items() if name in _ENVIRONMENT}


def _run(arguments: Sequence[str], environment: Mapping[str, str] | None) -> subprocess.CompletedProcess[str]:
    # S603: the tools stand in the PATH of whoever runs the gateway, the rest are our own words
    return subprocess.run(  # noqa: S603
        list(arguments),
        env={**os.environ, **(environment or {}), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


__all__ = [
    "check_sqlite",
    "copy_sqlite",
    "copy_sqlite_file",
    "dump_postgresql",
    "find_dialect",
    "hash_file",
    "list_dump",
    "load_schema_name",
    "make_private",
    "open_copy",
    "release_sqlite",
    "replace_sqlite",
    "restore_postgresql",
    "sync_file",
]
