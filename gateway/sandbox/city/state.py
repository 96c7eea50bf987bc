"""What the sandbox knows: objects by kind, the ledger of accepted writes, and notes; in memory, written through to a file.

The file (stdlib sqlite3) is optional. It is written before the answer is sent, so that a killed and restarted sandbox
still knows every write it ever accepted.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# Ranges of ids far apart, so that an id of one kind used for another is never found by accident.
FIRST_ID = {
    "attestation_periods_schedules": 16_000,
    "attestation_periods": 37_000,
    "class_units": 51_000,
    "subjects": 61_000,
    "groups": 7_100_000,
    "teacher_profiles": 8_200_000,
    "student_profiles": 9_300_000,
    "grade_systems": 4_139_000,
    "control_forms": 4_500_000,
    "schedule_items": 316_000_000,
    "calendar_plans": 410_000,
    "lesson_plans": 420_000,
    "lesson_replacements": 430_000,
    "emias_medical_recommendations": 440_000,
    "marks": 1_664_000_000,
    "attendances": 1_100_000_000,
    "lesson_comments": 450_000,
    "homeworks": 510_000_000,
    "homework_entries": 520_000_000,
    "final_marks": 530_000_000,
    "exports": 460_000,
}
INDEXED_BY_GROUP = frozenset({"marks", "attendances", "homeworks", "schedule_items"})


class StateFile:
    """The state on disk. Opened on first use, so that building an application touches nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            # The server's thread is another one than the builder's; they never meet in time.
            connection = sqlite3.connect(self._path, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS object (kind TEXT, id INTEGER, body TEXT, PRIMARY KEY (kind, id))"
            )
            connection.execute("CREATE TABLE IF NOT EXISTS ledger (seq INTEGER PRIMARY KEY, body TEXT)")
            connection.execute("CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, body TEXT)")
            self._connection = connection
        return self._connection

    def load(self) -> tuple[list[tuple[str, Row]], list[Row], Row]:
        """Load (kind, object) pairs, the ledger in order, and the notes; all empty for a new file."""
        connection = self._open()
        objects = [
            (kind, json.loads(body))
            for kind, body in connection.execute("SELECT kind, body FROM object ORDER BY kind, id")
        ]
        ledger = [json.loads(body) for (body,) in connection.execute("SELECT body FROM ledger ORDER BY seq")]
        notes = {name: json.loads(body) for name, body in connection.execute("SELECT name, body FROM note")}
        return objects, ledger, notes

    def put_objects(self, rows: Iterable[tuple[str, Row]]) -> None:
        self._open().executemany(
            "INSERT OR REPLACE INTO object (kind, id, body) VALUES (?, ?, ?)",
            [(kind, row["id"], json.dumps(row, ensure_ascii=False)) for kind, row in rows],
        )

    def drop_object(self, kind: str, object_id: int) -> None:
        self._open().execute("DELETE FROM object WHERE kind = ? AND id = ?", (kind, object_id))

    def append(self, entry: Row) -> None:
        self._open().execute(
            "INSERT INTO ledger (seq, body) VALUES (?, ?)", (entry["seq"], json.dumps(entry, ensure_ascii=False))
        )

    def put_note(self, name: str, value: Any) -> None:
        self._open().execute(
            "INSERT OR REPLACE INTO note (name, body) VALUES (?, ?)", (name, json.dumps(value, ensure_ascii=False))
        )

    def wipe(self) -> None:
        for table in ("object", "ledger", "note"):
            self._open().execute(f"DELETE FROM {table}")  # noqa: S608 - the three names stand in the line above

    def commit(self) -> None:
        self._open().commit()

    def close(self) -> None:
        """Close the file; it opens again on the next use."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class State:
    """Objects by kind and id, their ledger, and notes (tokens, clock, switches) that must outlive the server."""

    def __init__(self, file: StateFile | None = None) -> None:
        self._file = file
        self._objects: dict[str, dict[int, Row]] = defaultdict(dict)
        self._by_group: dict[str, dict[int | None, dict[int, Row]]] = {kind: {} for kind in INDEXED_BY_GROUP}
        self._last_id: dict[str, int] = dict(FIRST_ID)
        # What a reader may still see of an object written a moment ago: (until when, the row before).
        self._lagging: dict[tuple[str, int], list[tuple[datetime, Row | None]]] = {}
        self.ledger: list[Row] = []
        self.notes: Row = {}
        if file is not None:
            objects, self.ledger, self.notes = file.load()
            for kind, row in objects:
                self._hold(kind, row)

    @property
    def is_empty(self) -> bool:
        return not any(self._objects.values())

    def _hold(self, kind: str, row: Row) -> None:
        self._objects[kind][row["id"]] = row
        self._last_id[kind] = max(self._last_id.get(kind, 0), row["id"])
        if kind in INDEXED_BY_GROUP:
            self._by_group[kind].setdefault(row["group_id"], {})[row["id"]] = row
        if kind == "homeworks":
            entry_ids = [entry["id"] for entry in row["homework_entries"]]
            self._last_id["homework_entries"] = max([self._last_id["homework_entries"], *entry_ids])

    def next_id(self, kind: str) -> int:
        """Give out an id that no object of the kind has had."""
        self._last_id[kind] = self._last_id.get(kind, 0) + 1
        return self._last_id[kind]

    def skip_ids(self, before: State, kinds: Iterable[str]) -> None:
        """Let new objects of these kinds have ids that none had in another state."""
        for kind in kinds:
            self._last_id[kind] = max(self._last_id.get(kind, 0), before._last_id.get(kind, 0))

    def fill(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Replace everything by `rows`; the ledger and the notes begin anew."""
        self._objects.clear()
        self._by_group = {kind: {} for kind in INDEXED_BY_GROUP}
        self._last_id = dict(FIRST_ID)
        self._lagging.clear()
        self.ledger = []
        self.notes = {}
        for kind, row in rows:
            self._hold(kind, row)
        if self._file is not None:
            self._file.wipe()
            self._file.put_objects(self.iter_all())
            self._file.commit()

    def put(self, kind: str, row: Row, *, now: datetime, lag_s: float = 0.0) -> None:
        """Store a new or changed object; with `lag_s` readers go on seeing the old one for so long."""
        before = self._objects[kind].get(row["id"])
        if lag_s > 0:
            seen = self._lagging.setdefault((kind, row["id"]), [])
            seen.append((now + timedelta(seconds=lag_s), before))
        if before is not None and kind in INDEXED_BY_GROUP and before["group_id"] != row["group_id"]:
            del self._by_group[kind][before["group_id"]][row["id"]]
        self._hold(kind, row)
        if self._file is not None:
            self._file.put_objects([(kind, row)])

    def rename(self, kind: str, old_id: int) -> int:
        """Give an object a new id and forget the old one; returns the new id."""
        row = self._objects[kind].pop(old_id)
        if kind in INDEXED_BY_GROUP:
            del self._by_group[kind][row["group_id"]][old_id]
        renamed = {**row, "id": self.next_id(kind)}
        self._hold(kind, renamed)
        if self._file is not None:
            self._file.drop_object(kind, old_id)
            self._file.put_objects([(kind, renamed)])
        return int(renamed["id"])

    def find(self, kind: str, object_id: Any) -> Row | None:
        """Find the object as the server knows it, deleted ones too."""
        return self._objects[kind].get(object_id) if isinstance(object_id, int) else None

    def iter_rows(self, kind: str) -> Iterator[Row]:
        """Yield the objects of a kind as the server knows them, by id."""
        rows = self._objects[kind]
        yield from (rows[object_id] for object_id in sorted(rows))

    def iter_of_group(self, kind: str, group_id: int) -> Iterator[Row]:
        """Yield the objects of a kind that belong to a group."""
        yield from self._by_group[kind].get(group_id, {}).values()

    def iter_all(self) -> Iterator[tuple[str, Row]]:
        for kind, rows in self._objects.items():
            for row in rows.values():
                yield kind, row

    def list_visible(self, kind: str, *, now: datetime, group_ids: set[int] | None = None) -> list[Row]:
        """List what a reader sees now, by id; `group_ids` narrows a kind that is indexed by group."""
        if group_ids is not None and kind in INDEXED_BY_GROUP:
            rows = [row for group_id in group_ids for row in self._by_group[kind].get(group_id, {}).values()]
        else:
            rows = list(self._objects[kind].values())
        if self._lagging:
            seen = (self._see(kind, row, now) for row in rows)
            rows = [row for row in seen if row is not None]
        return sorted(rows, key=lambda row: int(row["id"]))

    def find_visible(self, kind: str, object_id: int, *, now: datetime) -> Row | None:
        """Find what a reader sees now."""
        row = self.find(kind, object_id)
        return None if row is None else self._see(kind, row, now)

    def _see(self, kind: str, row: Row, now: datetime) -> Row | None:
        key = (kind, row["id"])
        pending = [(until, before) for until, before in self._lagging.get(key, ()) if until > now]
        if not pending:
            self._lagging.pop(key, None)
            return row
        return pending[0][1]

    def append(self, entry: Row) -> Row:
        """Write an accepted write into the ledger; returns the entry with its number, from 1."""
        numbered = {"seq": len(self.ledger) + 1, **entry}
        self.ledger.append(numbered)
        if self._file is not None:
            self._file.append(numbered)
        return numbered

    def note(self, name: str, value: Any) -> None:
        """Keep a JSON value under a name."""
        self.notes[name] = value
        if self._file is not None:
            self._file.put_note(name, value)

    def commit(self) -> None:
        """Make everything since the last commit durable, at once."""
        if self._file is not None:
            self._file.commit()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
