"""The sign of life for an outside watcher: a URL that is asked, a file that is written.

The watcher raises the alarm when the sign stays away, which is the one alarm that a dead machine can still give. The
sign says which run it was and how it ended, and nothing of anybody.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from gateway.connectors.http import HttpDoor
from gateway.domain.errors import ConfigurationError, GatewayError, UnavailableError

DEADLINE_S = 10.0
"""A watcher that answers slower is as good as none; the schedule goes on."""
SYSTEM = "watcher"


def send_sign(url: SecretStr | None, file: Path | None, *, run_id: int, state: str, now: datetime) -> list[str]:
    """Give the sign of life where it is wanted.

    Args:
        url: Asked with GET; its path and query are the watcher's own secret.
        file: Written anew: run, state and moment.
        run_id: The run that has ended.
        state: How.
        now: Aware UTC.

    Returns:
        A sentence for each way that failed; empty = all is well. Nothing is raised: a run is not worse for it.
    """
    failed: list[str] = []
    if url is not None:
        try:
            _ask(url.get_secret_value())
        except GatewayError as error:
            failed.append(f"Знак жизни по адресу не принят: {error.sentence}")
    if file is not None:
        try:
            file.write_text(f"{run_id} {state} {now.isoformat(timespec='seconds')}\n", encoding="utf-8")
        except OSError as error:
            failed.append(f"Файл знака жизни не записан ({type(error).__name__})")
    return failed


def _ask(url: str) -> None:
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        # not `from exc`: the text repeats the address
        raise ConfigurationError("schedule.heartbeat_url: это не адрес") from None
    with HttpDoor(
        system=SYSTEM,
        base_url=f"{parts.scheme}://{parts.netloc}",
        parallel=1,
        deadline_s=DEADLINE_S,
        max_body_bytes=65_536,
    ) as door:
        answer = door.call("GET", parts.path or "/", is_write=False, query=dict(pairs))
    if not 200 <= answer.status < 300:
        raise UnavailableError(
            f"наблюдатель ответил {answer.status}", system=SYSTEM, method="GET", status=answer.status
        )
