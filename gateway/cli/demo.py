"""gateway demo: the main job from end to end against both sandboxes, in under half a minute, leaving a folder to look into."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.bootstrap import open_gateway
from gateway.cli.context import OUT, JsonOption, StderrProgress, guarded, print_json
from gateway.cli.demo_school import DemoSchool, open_school
from gateway.cli.demo_steps import Demo
from gateway.domain.clock import ShiftedClock

RECORDED_AT = datetime.fromisoformat("2026-11-23T19:30:00+03:00")
"""Just after the recording's last call: a lesson of that day has been held and may bear marks."""


def demo_command(
    pupils: Annotated[
        int | None,
        typer.Option("--pupils", min=1, help="Выдуманная школа на столько учеников вместо записи настоящего Moodle."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Куда сложить результат; по умолчанию новая папка gateway-demo.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Показать весь путь на песочницах: прочитать, сопоставить, утвердить, отправить, проверить, увидеть расхождение."""
    with guarded(), ExitStack() as stack:
        began = time.monotonic()
        place = _new_folder(folder)
        school: DemoSchool = stack.enter_context(open_school(place, pupils=pupils, now=RECORDED_AT))
        progress = StderrProgress(is_quiet=as_json)
        gateway = stack.enter_context(
            open_gateway(school.settings, clock=ShiftedClock(RECORDED_AT), progress=progress, folder=place)
        )
        demo = Demo(gateway, school, say=_silent if as_json else OUT.print)
        result = demo.run()
        progress.close()
        result["duration_s"] = round(time.monotonic() - began, 2)
        if as_json:
            print_json(result)
        else:
            demo.say_next(place, result["duration_s"])


def _silent(*_lines: object) -> None:
    """Where only the JSON object may be printed."""


def _new_folder(wanted: Path | None) -> Path:
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        return wanted
    for number in range(1, 1000):
        path = Path("gateway-demo" if number == 1 else f"gateway-demo-{number}")
        if not path.exists():
            path.mkdir()
            return path
    raise typer.BadParameter("gateway-demo-999 уже есть: уберите старые папки")
