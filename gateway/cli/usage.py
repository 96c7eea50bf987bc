"""What the command line says of a command that was typed wrongly, in Russian; the parser's own sentences are English.

The last of the doors a mistyped command passes: the parser has told what is wrong by the class of its error and by its
sentence. A sentence that is not known here is passed on as it is: better English than nothing.
"""

from __future__ import annotations

import re
from typing import Any

from rich.markup import escape

from gateway.cli.context import ERR

_SENTENCES = (
    (r"No such command '(.+)'\.", r"такой команды нет: \1"),
    (r"Missing command\.", "не названо, что сделать"),
    (r"Missing argument '(.+?)'\.(.*)", r"не назван аргумент \1"),
    (r"Missing (?:option|parameter) '?(.+?)'?\.(.*)", r"не назван параметр \1"),
    (r"No such option: (\S+)(?: \(Possible options: (.+)\))?", r"такого параметра нет: \1"),
    (r"Got unexpected extra argument(?:s|\(s\))? \((.+)\)", r"лишнее: \1"),
    (r"Option '(.+)' requires an argument\.", r"после \1 нужно значение"),
    (r"Option '(.+)' does not take a value\.", r"после \1 значения нет"),
    (r"Invalid value: (.+)", r"\1"),
    (r"Invalid value for (.+?): (.+)", r"\1: \2"),
)
_REASONS = (
    (r"(?:Value error, )?'(.*)' is not one of (.+?)\.?", r"\1 не подходит, можно \2"),
    (r"Input should be a valid integer.*", "нужно целое число"),
    (r"Input should be a valid number.*", "нужно число"),
    (r"Input should be a valid boolean.*", "нужно true или false"),
    (r"Input should be greater than or equal to (\S+)", r"нужно не меньше \1"),
    (r"Input should be less than or equal to (\S+)", r"нужно не больше \1"),
    (r"(\S+) is not in the range x>=(\S+?)\.", r"\1 не подходит, нужно не меньше \2"),
    (r"(\S+) is not in the range (.+?)\.", r"\1 не подходит, нужно \2"),
)


def is_usage(error: Exception) -> bool:
    """Whether an error is the parser's own: it knows its sentence and its exit code.

    By what it can, not by its class: which package brings the parser differs between the versions that we support.
    """
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def tell_usage(error: Any) -> int:
    """Say what was typed wrongly and how it is typed, on stderr; the exit code that goes with it."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return int(error.exit_code)  # the help has been shown instead
    if context is not None:
        shown = context.get_usage().removeprefix("Usage:").strip()
        shown = shown.replace("[OPTIONS]", "[ПАРАМЕТРЫ]").replace("COMMAND [ARGS]...", "КОМАНДА …")
        ERR.print(f"Как вызвать: {escape(shown)}", highlight=False, soft_wrap=True)
        ERR.print(f"Подробно: {escape(context.command_path)} --help", highlight=False, soft_wrap=True)
    ERR.print(f"[red]Ошибка[/red]: {escape(in_russian(error.format_message()))}", highlight=False, soft_wrap=True)
    return int(error.exit_code)


def in_russian(sentence: str) -> str:
    """Turn a sentence of the parser into ours; one that is not known stays as it is."""
    for pattern, ours in _SENTENCES:
        found = re.fullmatch(pattern, sentence, re.DOTALL)
        if found is None:
            continue
        if pattern.startswith("No such option") and found[2]:
            return f"{found.expand(ours)}; есть похожий: {found[2]}"
        if pattern.startswith("Invalid value for"):
            return f"{found[1]}: {_reason(found[2])}"
        return found.expand(ours)
    return sentence


def _reason(sentence: str) -> str:
    for pattern, ours in _REASONS:
        found = re.fullmatch(pattern, sentence, re.DOTALL)
        if found is not None:
            return found.expand(ours)
    return sentence


__all__ = ["in_russian", "is_usage", "tell_usage"]
