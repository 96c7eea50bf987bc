"""One dictionary entry written into the TOML that the school edits, so that its comments and its order stay.

Pure. What is written is read again, and must say exactly the old rules and the entry; where it does not (an inline table,
a spelling this module does not know), it is refused and a person edits the file.
"""

from __future__ import annotations

import json
import re

from gateway.domain.errors import ConfigurationError
from gateway.mapping.normalise import normal_text
from gateway.mapping.rules import Rules, parse_rules
from gateway.mapping.unmapped import MAPPED_NAMES

_KEY = re.compile(r"""^\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*=""")


def write_entry(source: str, name: str, local: str, city: str) -> str:
    """Return the text with one more entry, or with that entry changed.

    Args:
        source: The TOML.
        name: A dictionary, or `items` for a row of works: then `city` is the control form.
        local: The school's value; of works, the whole name.
        city: What it leads to.

    Raises:
        ConfigurationError: No such dictionary, an empty value, or a text that this can't be written into.
    """
    if name not in MAPPED_NAMES:
        raise ConfigurationError(f"Справочника {name} нет, а есть {', '.join(MAPPED_NAMES)}")
    if not local.strip() or not city.strip():
        raise ConfigurationError("Пустое значение ни с чем не сопоставить")
    old = parse_rules(source, "mapping.toml")
    text = _write_item(source, local, city) if name == "items" else _write_pair(source, old, name, local, city)
    new = parse_rules(text, "mapping.toml")
    if not _is_only_this(old, new, name, local, city):
        raise ConfigurationError("В этот текст запись не вписать: добавьте её в файл правил сами и сделайте черновик")
    return text


def _is_only_this(old: Rules, new: Rules, name: str, local: str, city: str) -> bool:
    before, after = old.model_dump(), new.model_dump()
    if name == "items":
        added = after["items"][-1]
        same_rows = after["items"][:-1] == before["items"]
        is_written = same_rows and added["form"] == city and added["match"] == "name"
    else:
        key = normal_text(local)
        kept = {one: value for one, value in before[name].items() if normal_text(one) != key}
        is_written = after[name] == {**kept, local: city}
    return is_written and {**before, name: None} == {**after, name: None}


def _write_pair(source: str, old: Rules, name: str, local: str, city: str) -> str:
    lines = source.splitlines()
    pair = f"{_quoted(local)} = {_quoted(city)}"
    header = re.compile(rf"^\s*\[\s*{name}\s*\]\s*(#.*)?$")
    at = next((number for number, line in enumerate(lines) if header.match(line)), None)
    if at is None:
        # without its table the built-in entries count, and a table of one would replace them
        known = {one: value for one, value in getattr(old, name).items() if normal_text(one) != normal_text(local)}
        rows = [f"{_quoted(one)} = {_quoted(value)}" for one, value in known.items()]
        return "\n".join([*lines, "", f"[{name}]", *rows, pair, ""])
    end = next((number for number in range(at + 1, len(lines)) if lines[number].lstrip().startswith("[")), len(lines))
    same = [number for number in range(at + 1, end) if _key_of(lines[number]) == normal_text(local)]
    if same:
        lines[same[0]] = pair
    else:
        lines.insert(at + 1, pair)
    return "\n".join(lines) + "\n"


def _write_item(source: str, local: str, city: str) -> str:
    pattern = f"^{re.escape(local.strip())}$"
    row = ["", "[[items]]", 'match = "name"', f"pattern = {_quoted(pattern)}", f"form = {_quoted(city)}", ""]
    return source.rstrip("\n") + "\n" + "\n".join(row)


def _key_of(line: str) -> str | None:
    found = _KEY.match(line)
    if found is None:
        return None
    quoted, literal, bare = found.groups()
    return normal_text(json.loads(f'"{quoted}"') if quoted is not None else literal if literal is not None else bare)


def _quoted(text: str) -> str:
    """A TOML basic string; JSON escapes what it has to in the same way."""
    return json.dumps(text, ensure_ascii=False)
