"""Whether the database is still the one that was opened, and undamaged.

Below every decision: what is read out of a rotten page is as wrong as anything can be, and what is written into a file
that has lost its name is gone with the process.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from gateway.domain.errors import GatewayError
from gateway.store.engine import is_memory

FileId = tuple[int, int]
"""Device and inode: another file under the same name has another."""


def find_file_id(engine: Engine) -> FileId | None:
    """Identify the file behind a SQLite database; None for any other database.

    Raises:
        GatewayError: There is no such file any more.
    """
    if engine.dialect.name != "sqlite" or is_memory(engine):
        return None
    try:
        found = Path(str(engine.url.database)).stat()
    except FileNotFoundError:
        raise GatewayError(
            "Файла базы больше нет, а программа работает: остановите её и верните файл или копию (gateway restore)"
        ) from None
    return found.st_dev, found.st_ino


def find_damage(engine: Engine) -> str | None:
    """Look at every page and every reference of a SQLite database; reads only.

    PostgreSQL does not offer such a look to its clients: it checks its pages itself as it reads them, where the cluster
    was made with checksums.

    Returns:
        What is damaged, as a code; None = nothing, or nothing that could be looked for.
    """
    if engine.dialect.name != "sqlite":
        return None
    with engine.connect() as conn:
        if conn.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one() != "ok":
            return "integrity_check"
        if conn.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            return "foreign_key_check"
    return None


__all__ = ["FileId", "find_damage", "find_file_id"]
