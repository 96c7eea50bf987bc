"""The watched folder: which workbooks lie in it, which of them may be read now, and which are the same file twice.

Effects only: it looks at files and reads their bytes. A file that is still being written, or open in a spreadsheet program,
waits for the next read; what was read of it before stands.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import xxhash

from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.sheets import Caps
from gateway.domain.clock import Clock
from gateway.domain.reasons import WB_COPY, WB_FOLDER, WB_HALF_WRITTEN, WB_OPEN_ELSEWHERE, WB_TOO_BIG, WB_UNREADABLE

SUFFIXES = frozenset({".xlsx", ".xlsm", ".xls", ".ods", ".csv", ".txt", ".tsv"})
"""What lies in the folder under other names is somebody else's; what these really are is told by their first bytes."""
WAITING = frozenset({WB_HALF_WRITTEN, WB_OPEN_ELSEWHERE})
"""Faults that pass by themselves."""
_STALE_LOCK = timedelta(days=1)
"""A lock file that is older was left behind by a program that ended badly."""
_CHUNK_BYTES = 1024 * 1024


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the folder.

    Attributes:
        key: Eight hex digits of its name, for scopes: a name may be a person's.
        digest: Of its content; empty where `problem` says why it is not read now.
    """

    path: Path
    key: str
    digest: str = ""
    problem: str = ""


def find_files(folder: Path, clock: Clock, *, settle_s: float, caps: Caps) -> list[FoundFile]:
    """List the workbooks of a folder in the order of their names.

    Args:
        folder: The folder; its subfolders are looked through too.
        clock: Lets `settle_s` pass where a file is so young that it may be growing still.
        settle_s: How long a file must have stood still, in seconds.
        caps: What is too big is not even hashed.

    Raises:
        CellError: The folder can't be listed.
    """
    try:
        if not folder.is_dir():  # one that is missing would look empty
            raise CellError(WB_FOLDER)
        names = sorted(path for path in folder.rglob("*") if path.is_file())
        before = {path: path.stat() for path in names if _is_workbook(path)}
    except OSError as exc:
        raise CellError(WB_FOLDER, type(exc).__name__) from exc
    locks = {_locked_name(path) for path in names if _is_lock(path) and not _is_stale(path)}
    young = [path for path, stat in before.items() if abs(_machine_now().timestamp() - stat.st_mtime) < settle_s]
    if young:
        clock.wait(settle_s)
    found: list[FoundFile] = []
    seen: set[str] = set()
    for path, stat in before.items():
        key = xxhash.xxh3_64_hexdigest(path.relative_to(folder).as_posix().encode())[:8]
        try:
            if path in locks:
                raise CellError(WB_OPEN_ELSEWHERE)
            now = path.stat()
            if (now.st_size, now.st_mtime_ns) != (stat.st_size, stat.st_mtime_ns):
                raise CellError(WB_HALF_WRITTEN)
            if now.st_size > caps.raw_bytes:
                raise CellError(WB_TOO_BIG)
            digest = digest_file(path)
        except CellError as exc:
            found.append(FoundFile(path=path, key=key, problem=exc.code))
            continue
        except OSError:
            found.append(FoundFile(path=path, key=key, problem=WB_UNREADABLE))
            continue
        problem = WB_COPY if digest in seen else ""
        seen.add(digest)
        found.append(FoundFile(path=path, key=key, digest=digest, problem=problem))
    return found


def digest_file(path: Path) -> str:
    """Return what stands for a file's content when two are compared.

    Raises:
        OSError: It can't be read.
    """
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _is_workbook(path: Path) -> bool:
    return path.suffix.casefold() in SUFFIXES and not _is_lock(path) and not path.name.startswith(".")


def _is_lock(path: Path) -> bool:
    """`~$name.xlsx` of Excel (which drops the first two letters of long names), `.~lock.name.ods#` of LibreOffice."""
    return path.name.startswith(("~$", ".~lock."))


def _locked_name(path: Path) -> Path:
    name = path.name[2:] if path.name.startswith("~$") else path.name.removeprefix(".~lock.").removesuffix("#")
    if path.name.startswith("~$") and not path.with_name(name).exists():
        longer = [one for one in path.parent.glob(f"??{name}") if one.is_file()]
        return longer[0] if len(longer) == 1 else path.with_name(name)
    return path.with_name(name)


def _is_stale(path: Path) -> bool:
    return _machine_now() - datetime.fromtimestamp(path.stat().st_mtime, UTC) > _STALE_LOCK


def _machine_now() -> datetime:
    """The machine's clock, which also dates its files; the gateway's own clock may tell another day."""
    return datetime.now(UTC)
