"""Where a command writes a new file: never over one that is there, unless it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gateway.domain.errors import ConfigurationError

ForceOption = Annotated[bool, typer.Option("--force", help="Перезаписать файл, если он уже есть.")]


@contextmanager
def new_file(path: Path, *, is_forced: bool) -> Iterator[None]:
    """Claim a file for writing; one that was not there before is taken away again where the writing fails.

    Raises:
        ConfigurationError: It is there already, its folder is not, or it can't be written.
    """
    if path.is_dir():
        raise ConfigurationError(f"{path.name or path} — это папка; назовите файл в ней")
    is_new = not path.exists()
    try:
        # claimed by opening: two commands at once can't both take the name
        path.open("ab" if is_forced else "xb").close()
    except FileExistsError as exc:
        raise ConfigurationError(f"{path.name} уже есть; перезаписать его: --force") from exc
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise ConfigurationError(f"{path.name} не записывается: нет папки {path.parent}") from exc
    except OSError as exc:
        raise ConfigurationError(f"{path.name} не записывается: {type(exc).__name__}") from exc
    try:
        yield
    except BaseException:
        # a Ctrl-C too: half a file of ours would be taken for a filled one, and refused the next time
        if is_new:
            path.unlink(missing_ok=True)
        raise
