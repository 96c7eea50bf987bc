"""Asking a running sandbox through its control interface, from another process: the demo does what people there would do."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx

from gateway.sandbox.faults import CONTROL_PREFIX

ASK_S = 60.0
"""Total time of one question; the whole state of a large school is some megabytes."""


def fetch_control(base_url: str, name: str) -> Any:
    """Read `/__sandbox/<name>` of a sandbox.

    Raises:
        httpx.HTTPError: It does not answer, or refuses.
    """
    answer = httpx.get(f"{base_url}{CONTROL_PREFIX}/{name}", timeout=ASK_S, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def post_control(base_url: str, name: str, body: dict[str, Any]) -> Any:
    """Send `/__sandbox/<name>` of a sandbox an order.

    Raises:
        httpx.HTTPError: It does not answer, or refuses.
    """
    answer = httpx.post(f"{base_url}{CONTROL_PREFIX}/{name}", json=body, timeout=ASK_S, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def save_export(base_url: str, folder: Path) -> list[Path]:
    """Save the workbooks of a city's journal export, as a person who exported them would.

    Raises:
        OSError: It does not answer or refuses, or the folder can't be written to.
    """
    try:
        files = fetch_control(base_url, "export")
    except httpx.HTTPError as exc:
        raise ConnectionError("no export") from exc
    folder.mkdir(parents=True, exist_ok=True)
    saved: list[Path] = []
    for name, body in files.items():
        path = folder / Path(name).name
        path.write_bytes(base64.b64decode(body))
        saved.append(path)
    return saved
