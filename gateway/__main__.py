"""`gateway` and `python -m gateway`: the command line with the one verb that joins two doors, `serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.app import app, run_cli
from gateway.cli.context import ERR, ConfigOption, opened


@app.command("serve")
def serve_command(
    config: ConfigOption = None,
    host: Annotated[
        str | None, typer.Option(help="Адрес; без него web.host, по умолчанию только этот компьютер.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Порт; без него web.port.")] = None,
    worker: Annotated[
        bool | None,
        typer.Option("--worker/--no-worker", help="Отправлять и вести расписания здесь же; без Redis да, с Redis нет."),
    ] = None,
) -> None:
    """Отвечать по HTTP: вход, отметки, планы, очередь, аудит; останавливает SIGTERM."""
    # here, because FastAPI costs half a second that no other command should wait for
    from gateway.asgi import serve

    with opened(config, is_quiet=True) as gateway:
        settings = gateway.settings
        listened = host or settings.web.host
        serve(
            gateway,
            host=listened,
            port=settings.web.port if port is None else port,
            with_worker=settings.queue.redis_url is None if worker is None else worker,
            on_listening=lambda bound: ERR.print(f"Слушаю http://{listened}:{bound}/api/v1"),
        )


def main() -> None:
    """Run the command line."""
    run_cli()


__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
