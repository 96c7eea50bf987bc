"""What is wrong with a value, in Russian: for the faults that the library of models tells in English.

Pure, and knows the library by the shape of its reports only: a type, a context and a sentence. A Russian sentence of our
own models is kept as it is; what the HTTP door tells in English too has a type of its own here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OWN = "Value error, "
"""What the library puts before a sentence of our own."""

_WORDS = {
    "missing": "поля нет",
    "extra_forbidden": "такого поля нет",
    "none_required": "здесь ничего не должно быть",
    "string_type": "нужен текст",
    "string_too_short": "текст короче, чем {min_length}",
    "string_too_long": "текст длиннее, чем {max_length}",
    "string_pattern_mismatch": "текст не того вида",
    "string_unicode": "текст не в UTF-8",
    "int_type": "нужно целое число",
    "int_parsing": "нужно целое число",
    "int_parsing_size": "число слишком велико",
    "int_from_float": "нужно целое число",
    "float_type": "нужно число",
    "float_parsing": "нужно число",
    "finite_number": "нужно конечное число",
    "decimal_parsing": "нужно число",
    "bool_type": "нужно да или нет (true, false)",
    "bool_parsing": "нужно да или нет (true, false)",
    "greater_than": "нужно больше, чем {gt}",
    "greater_than_equal": "нужно не меньше, чем {ge}",
    "less_than": "нужно меньше, чем {lt}",
    "less_than_equal": "нужно не больше, чем {le}",
    "literal_error": "такого значения нет, а есть: {expected}",
    "enum": "такого значения нет, а есть: {expected}",
    "date_type": "нужен день вида 2026-11-10",
    "date_parsing": "нужен день вида 2026-11-10",
    "date_from_datetime_parsing": "нужен день вида 2026-11-10",
    "date_from_datetime_inexact": "нужен день без времени, вида 2026-11-10",
    "datetime_type": "нужен момент вида 2026-11-10T09:00:00+03:00",
    "datetime_parsing": "нужен момент вида 2026-11-10T09:00:00+03:00",
    "datetime_from_date_parsing": "нужен момент вида 2026-11-10T09:00:00+03:00",
    "datetime_object_invalid": "нужен момент вида 2026-11-10T09:00:00+03:00",
    "timezone_aware": "у момента нужен часовой пояс, например +03:00",
    "timezone_naive": "у момента не должно быть часового пояса",
    "time_type": "нужно время вида 09:00",
    "time_parsing": "нужно время вида 09:00",
    "list_type": "нужен список",
    "tuple_type": "нужен список",
    "set_type": "нужен список",
    "frozen_set_type": "нужен список",
    "dict_type": "нужны поля с именами",
    "mapping_type": "нужны поля с именами",
    "model_type": "нужны поля с именами",
    "model_attributes_type": "нужны поля с именами",
    "too_short": "строк меньше, чем {min_length}",
    "too_long": "строк больше, чем {max_length}",
    "json_invalid": "это не JSON",
    "json_type": "нужен JSON",
    "path_type": "нужен путь к файлу",
    "path_not_file": "такого файла нет",
    "path_not_directory": "такой папки нет",
    "url_type": "нужен адрес",
    "url_parsing": "адрес не разобран",
    "url_scheme": "адрес начинается не так: нужно {expected_schemes}",
    "url_too_long": "адрес длиннее, чем {max_length}",
    "uuid_parsing": "нужен UUID",
    "beyond_calendar": "нужен день от {first} до {last}",
    "days_reversed": "to_on раньше from_on",
    "value_error": "значение не годится",
    "assertion_error": "значение не годится",
}


def say_fault(report: Mapping[str, Any]) -> str:
    """Say one fault of a model's report.

    Args:
        report: `type`, `msg`, and `ctx` where the library gives one.

    Returns:
        A sentence without a full stop and without the value; a fault that is not known is told by its type's name.
    """
    kind, sentence = str(report["type"]), str(report.get("msg", ""))
    if kind == "value_error" and sentence.startswith(OWN):
        return sentence.removeprefix(OWN)
    words = _WORDS.get(kind)
    if words is None:
        return f"значение не годится ({kind})"
    context = {name: str(value).replace(" or ", " или ") for name, value in (report.get("ctx") or {}).items()}
    try:
        return words.format_map(context)
    except KeyError:
        return words.partition(":")[0].partition(", чем")[0]
