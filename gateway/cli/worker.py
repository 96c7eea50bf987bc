"""gateway worker: the long-running process that delivers and reads back; as many as wanted, on as many machines."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Annotated

import typer

from gateway.cli.context import ConfigOption, opened
from gateway.worker.loop import Worker


def worker_command(
    config: ConfigOption = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=32, help="Потоков отправки; без него как в настройках.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Сделать, что можно сделать сейчас, и выйти.")] = False,
) -> None:
    """Отправлять и проверять чтением, пока не остановят: SIGTERM доводит начатое до конца или возвращает в очередь."""
    with opened(config, is_quiet=True) as gateway:
        worker = Worker(gateway, threads=threads, is_once=once)

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            worker.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        worker.run()
