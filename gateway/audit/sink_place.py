"""Where the second sink is, and whether it would outlive the database's disk."""

from __future__ import annotations

from pathlib import Path

from gateway.store.transaction import Store


def find_sink_path(chosen: Path | None, store: Store, folder: Path | None = None) -> Path | None:
    """The sink's file: the chosen one, else one beside a SQLite file, else (PostgreSQL) one in the configuration's folder.

    Args:
        chosen: Setting `audit.sink_file`.
        folder: Where the configuration is; None = there is none, and no sink with a database that is no file here.
    """
    if chosen is not None:
        return chosen
    database = _find_database_file(store)
    if database is not None:
        return database.with_name(f"{database.stem}-audit.jsonl")
    return None if folder is None or store.dialect == "sqlite" else folder / "gateway-audit.jsonl"


def is_on_databases_disk(path: Path, store: Store) -> bool:
    """Whether one broken disk takes both; of a database that is no file here nothing is known, hence False.

    Raises:
        OSError: The sink's folder is not there.
    """
    database = _find_database_file(store)
    if database is None:
        return False
    return path.parent.stat().st_dev == database.stat().st_dev


def _find_database_file(store: Store) -> Path | None:
    name = store.engine.url.database
    if store.dialect != "sqlite" or name in (None, "", ":memory:"):
        return None
    return Path(str(name))
