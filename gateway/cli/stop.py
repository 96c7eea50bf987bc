"""gateway stop-sending: the red button, and its release."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.context import OUT, ConfigOption, JsonOption, opened, print_json
from gateway.flows.stop import allow_sending, stop_sending


def stop_command(
    config: ConfigOption = None,
    reason: Annotated[str, typer.Option("--reason", help="Почему; хранится рядом с журналом аудита.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="Разрешить отправку снова; причина обязательна.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Остановить отправку в город во всех процессах сразу; чтение и проверка отправленного продолжаются."""
    # a rules file that is being corrected must not keep anybody from stopping; allowing again waits till it can be read
    with opened(config, is_quiet=as_json, is_bare=not lift) as gateway:
        result = allow_sending(gateway, reason=reason) if lift else stop_sending(gateway, reason=reason)
        if as_json:
            print_json(result)
        elif result.stop is None:
            OUT.print(f"Отправка разрешена. В очереди {result.waiting}; дальше: gateway deliver")
        else:
            already = "" if result.is_changed else " (была остановлена раньше)"
            OUT.print(
                f"Отправка остановлена{already}: {gateway.local(result.stop.since):%d.%m.%Y %H:%M:%S}. "
                f"В очереди {result.waiting}, уже на проводе {result.on_wire}: их исход проверит чтение. "
                "Разрешить: gateway stop-sending --lift --reason «почему»"
            )
