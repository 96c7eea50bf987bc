"""The school's rules: what is sent, under which control form and weight, on which lesson, for which value.

Read from the mapping TOML that the school edits; frozen, and its version (a hash of the content) goes into every plan.
Pure but for reading the file. The dictionaries here are seeds: a school's own later change in the store wins
(`mapping.dictionaries`).

Source: design, "What is sent at all", "Which lesson a mark hangs on"; city-journal.md R4, R7, R9, R19, R21.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import unicodedata
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gateway.domain.errors import ConfigurationError
from gateway.domain.faults_ru import say_fault
from gateway.domain.identifiers import CHOSEN_KINDS, SENT_KINDS, Kind
from gateway.domain.records import Mark
from gateway.mapping.normalise import class_key, normal_text
from gateway.mapping.rules_template import DEFAULT_MAPPING_TOML
from gateway.mapping.sources import SourceRules

Mode = Literal["off", "observe", "approve", "automatic"]
LessonDate = Literal["name_date", "due", "finish", "graded"]
FieldName = Literal["mark.value", "mark.weight", "mark.form"]


class Modes(msgspec.Struct, frozen=True):
    """How each operation of a record may go out; nothing does unless said."""

    create: Mode = "off"
    change: Mode = "off"
    delete: Mode = "off"


class ScopeDecision(msgspec.Struct, frozen=True):
    """What the scope table says of one record, and which of its rows decided.

    Attributes:
        row: Number of the row in the file, from 1; None = no row speaks of it, so nothing is sent.
    """

    row: int | None
    direction: Literal["to_city", "from_city", "off"]
    modes: Modes

    @property
    def is_sent(self) -> bool:
        """Whether any operation of such a record may show up in a plan."""
        return self.direction == "to_city" and self.modes != _ALL_OFF


_ALL_OFF = Modes()
_NOT_CHOSEN = ScopeDecision(None, "off", _ALL_OFF)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PercentStep(_Frozen):
    """One row of the dated table percent → mark."""

    from_on: date
    """First lesson day on which the row counts."""
    edges: dict[int, float]
    """Mark → lowest percent that earns it (edge included)."""
    below: int = Field(default=2, ge=1, le=5)
    """Mark below the lowest edge."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.edges:
            raise ValueError("edges: хотя бы у одной отметки нужна граница")
        last = None
        for mark in sorted(self.edges):
            percent = self.edges[mark]
            if not self.below < mark <= 5:
                raise ValueError(f"edges.{mark}: отметка должна быть выше «below» и не выше 5")
            if not 0 <= percent <= 100:
                raise ValueError(f"edges.{mark}: процент от 0 до 100")
            if last is not None and percent <= last:
                raise ValueError(f"edges.{mark}: должна быть выше границы меньшей отметки")
            last = percent
        return self


class ScopeRule(_Frozen):
    """One row of «what is sent at all»: narrower rows win over wider ones."""

    kind: Literal["mark", "absence", "homework", "comment", "final", "topics", "*"] = "*"
    """Kind of record; `*` = marks, absences and homework. The other kinds are sent only where a row names them."""
    subject: str = "*"
    """Name of the subject, the portal's or the city's."""
    class_name: str = "*"
    direction: Literal["to_city", "from_city", "off"] = "to_city"
    create: Mode = "approve"
    change: Mode = "approve"
    delete: Mode = "approve"

    @property
    def breadth(self) -> tuple[int, bool, bool, bool]:
        """How narrow the row is, to be compared: more named columns first, then class before subject before kind."""
        named = (self.class_name != "*", self.subject != "*", self.kind != "*")
        return (sum(named), *named)

    @property
    def selector(self) -> tuple[str, str, str]:
        """What the row speaks of, in comparable form."""
        return self.kind, normal_text(self.subject), class_key(self.class_name) or ""


_ITEM_FIELDS = {
    "name": "item_name",
    "number": "item_number",
    "category": "category",
    "module": "module",
    "item_form": "item_form",
}


class ItemRule(_Frozen):
    """Which control form an item of the gradebook has, and whether it is sent. The first row that matches decides."""

    match: Literal["name", "number", "category", "module", "item_form", "*"] = "*"
    """Which field the pattern is tried on; `*` = any of them."""
    pattern: str = ".*"
    """Regular expression, searched without regard to case."""
    form: str = ""
    """Kind of work: a key of `forms`, or the city's control form by name; empty with `send = false`."""
    weight: int | None = Field(default=None, ge=1, le=100)
    """Weight instead of the form's own (R7)."""
    send: bool = True
    """False = out of scope by rule."""
    lesson: LessonDate | None = None
    """Which date chooses the lesson; None = by the item's type."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as exc:
            raise ValueError("это не регулярное выражение") from exc
        return value

    @model_validator(mode="after")
    def _form_where_sent(self) -> Self:
        if self.send and not self.form:
            raise ValueError("form: тому, что уходит, нужен вид работы")
        return self

    def matches(self, mark: Mark) -> bool:
        """Say whether this row speaks of the mark's item."""
        names = _ITEM_FIELDS.values() if self.match == "*" else (_ITEM_FIELDS[self.match],)
        texts = (getattr(mark, name) or "" for name in names)
        return any(re.search(self.pattern, unicodedata.normalize("NFC", text), re.IGNORECASE) for text in texts)


class FieldRule(_Frozen):
    """Whose word wins for a field, and when a mapped value may be written."""

    owner: Literal["school", "city"] = "school"
    """`city`: the gateway leaves the field to the city."""
    strength: Literal["always", "on_change", "only_if_empty"] = "always"
    """`only_if_empty`: written when the record is created, never changed afterwards. `always` and `on_change` differ in
    nothing the gateway may do: a change made in the city is never written over unasked."""


DEFAULT_ITEMS: tuple[ItemRule, ...] = (
    ItemRule(match="module", pattern="^attendance$", send=False),
    ItemRule(match="name", pattern="контрольн", form="Контрольная работа"),
    ItemRule(match="name", pattern="самостоятельн", form="Самостоятельная работа"),
    ItemRule(match="name", pattern="проект", form="Проект"),
    ItemRule(match="module", pattern="^quiz$", form="Тест"),
    ItemRule(match="name", pattern=r"\bтест", form="Тест"),
    ItemRule(match="name", pattern=r"\bДЗ\b|домашн", form="Домашнее задание"),
    ItemRule(match="module", pattern="^assign$", form="Домашнее задание"),
    ItemRule(match="name", pattern=r"\bурок|на уроке|классн", form="Работа на уроке"),
    ItemRule(match="module", pattern="^page$", form="Работа на уроке"),
)
DEFAULT_WORDS = {"отлично": "5", "хорошо": "4", "удовлетворительно": "3", "неудовлетворительно": "2"}
DEFAULT_PASSES = {"зачёт": "1", "зачтено": "1", "незачёт": "0", "не зачтено": "0"}
DEFAULT_PERCENT = (PercentStep(from_on=date(2000, 1, 1), edges={5: 85.0, 4: 70.0, 3: 50.0}),)
"""Edges 85/70/50: there is no single norm (R21), these are the commonest; a school states its own, dated."""


class Rules(_Frozen):
    """All rules of a school."""

    version: int = Field(default=1, ge=1)
    """The school's own number of the edition; any other change moves `rule_version` as well."""
    subjects: dict[str, str] = {}
    """Local subject (ref, short or full name) → the city's subject by name."""
    classes: dict[str, str] = {}
    """Local class or group name → the city's class, where they differ by more than spelling."""
    forms: dict[str, str] = {}
    """Local kind of work → the city's control form by name."""
    words: dict[str, str] = DEFAULT_WORDS
    """Word of a scale → mark. Numbers need no entry."""
    items: tuple[ItemRule, ...] = DEFAULT_ITEMS
    """First match wins; an item that no row matches is refused, never guessed."""
    scope: tuple[ScopeRule, ...] = ()
    """What is sent at all. No row = nothing chosen yet = nothing sent."""
    percent: tuple[PercentStep, ...] = DEFAULT_PERCENT
    """Dated table percent → mark for items whose maximum is not 5."""
    rounding: Literal["half_up", "half_even", "down"] = "half_up"
    """How a fraction becomes a whole: 4.5 is 5, 4 or 4."""
    passes: dict[str, str] = DEFAULT_PASSES
    """Word of an intermediate attestation → `1` (passed) or `0`."""
    finals_before_days: int = Field(default=7, ge=0, le=60)
    """A final mark goes from this many days before its period's last one: what the portal shows earlier is a running total."""
    allow_one: bool = False
    """Whether a 1 may be sent: legal but rare (R1)."""
    sources: SourceRules = SourceRules()
    """Whose word wins where two of the school's own sources speak of one thing."""
    fields: dict[FieldName, FieldRule] = {}
    """Owner and strength of single fields; a field not named belongs to the school, always."""

    @field_validator("words")
    @classmethod
    def _marks(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = sorted(word for word, mark in value.items() if mark not in {"1", "2", "3", "4", "5"})
        if wrong:
            raise ValueError(f"не отметка от 1 до 5 на месте {list(value).index(wrong[0]) + 1}")
        return value

    @field_validator("passes")
    @classmethod
    def _passes(cls, value: dict[str, str]) -> dict[str, str]:
        for number, passed in enumerate(value.values(), start=1):
            if passed not in {"0", "1"}:
                raise ValueError(f"ни 1 (зачтено), ни 0 на месте {number}")
        return value

    @field_validator("scope")
    @classmethod
    def _single_rows(cls, value: tuple[ScopeRule, ...]) -> tuple[ScopeRule, ...]:
        seen: dict[tuple[str, str, str], int] = {}
        for number, row in enumerate(value, start=1):
            if row.selector in seen:
                raise ValueError(f"строки {seen[row.selector]} и {number} говорят об одних и тех же записях")
            seen[row.selector] = number
        return value

    @field_validator("percent")
    @classmethod
    def _single_days(cls, value: tuple[PercentStep, ...]) -> tuple[PercentStep, ...]:
        if not value:
            raise ValueError("нужна хотя бы одна строка")
        if len({step.from_on for step in value}) != len(value):
            raise ValueError("две строки начинаются в один день")
        return tuple(sorted(value, key=lambda step: step.from_on))

    @model_validator(mode="after")
    def _fields_that_can_be_kept(self) -> Self:
        # A declaration that nothing carries out would be a silent lie, so what can't be kept is refused.
        for name in ("mark.weight", "mark.form"):
            if self.field(name).strength == "only_if_empty":
                raise ValueError(f"fields.{name}.strength: only_if_empty бывает только у mark.value")
        if self.field("mark.form").owner == "city":
            raise ValueError("fields.mark.form.owner: отметку нельзя записать без её вида работы")
        return self

    def field(self, name: FieldName) -> FieldRule:
        """Return owner and strength of a field."""
        return self.fields.get(name, FieldRule())

    def find_item_rule(self, mark: Mark) -> ItemRule | None:
        """Return the first row that speaks of the mark's item, or None."""
        return next((rule for rule in self.items if rule.matches(mark)), None)

    def form_name(self, rule: ItemRule) -> str:
        """Name the city's control form of an item row, through the dictionary of kinds of work."""
        return _look_up(self.forms, rule.form) or rule.form

    def city_subject(self, ref: str, name: str) -> str:
        """Name the city's subject of a local one: by the dictionary, else the name as it stands before «, 7 класс»."""
        short = re.split(r",|\d", name, maxsplit=1)[0].strip() or name
        return self.subjects.get(ref) or _look_up(self.subjects, name) or _look_up(self.subjects, short) or short

    def city_class(self, name: str) -> str | None:
        """Return the comparable form of the city's class of a local class or group name."""
        return class_key(_look_up(self.classes, name) or name)

    @property
    def sent_kinds(self) -> frozenset[Kind]:
        """What the gateway looks at for the city: the three kinds in any case, the others where a row names them."""
        named = {row.kind for row in self.scope}
        return frozenset(kind for kind in SENT_KINDS if kind not in CHOSEN_KINDS or kind.value in named)

    def scope_for(self, kind: Kind, subjects: Collection[str], class_name: str | None) -> ScopeDecision:
        """Say what is sent of one kind, subject and class; the narrowest row decides.

        Args:
            subjects: Names of one subject on both sides.
            class_name: None where a group is of no single class: then only rows for all classes speak.
        """
        names = {normal_text(subject) for subject in subjects}
        key = class_key(class_name)
        best: tuple[tuple[int, bool, bool, bool], int, ScopeRule] | None = None
        for number, row in enumerate(self.scope, start=1):
            row_kind, row_subject, row_class = row.selector
            if (
                (row_kind == kind.value or (row_kind == "*" and kind not in CHOSEN_KINDS))
                and (row_subject == "*" or row_subject in names)
                and (row_class == "*" or row_class == key)
                and (best is None or row.breadth > best[0])
            ):
                best = (row.breadth, number, row)
        if best is None:
            return _NOT_CHOSEN
        row = best[2]
        return ScopeDecision(best[1], row.direction, Modes(row.create, row.change, row.delete))


def everything_on(rules: Rules) -> Rules:
    """Return the rules with everything sent, for a sandbox city; a scope table the school has filled stays as it is."""
    if rules.scope:
        return rules
    row = ScopeRule(create="automatic", change="automatic", delete="approve")
    return rules.model_copy(update={"scope": (row,)})


def load_rules(path: Path | None) -> Rules:
    """Read the mapping TOML; None gives the built-in default, whose scope is empty: nothing is sent until chosen.

    Raises:
        ConfigurationError: The file can't be read or a rule is wrong; names the place (`items.3.pattern`), not the value.
    """
    return Rules() if path is None else parse_rules(read_mapping_file(path), path.name)


def read_mapping_file(path: Path) -> str:
    """Read the text of a mapping TOML.

    Raises:
        ConfigurationError: It can't be read, or is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigurationError(f"Файл правил не читается: {path.name}") from exc
    except UnicodeDecodeError as exc:  # an editor that saves in cp1251
        raise ConfigurationError(f"Файл правил {path.name} не в UTF-8: сохраните в UTF-8") from exc


def parse_rules(text: str, name: str) -> Rules:
    """Make rules of the text of a mapping TOML; `name` is told where it can't be.

    Raises:
        ConfigurationError: As `load_rules`.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError(f"Файл правил {name} не разобран: {exc}") from exc
    except RecursionError as exc:
        raise ConfigurationError(f"Файл правил {name} не разобран: слишком много уровней") from exc
    return build_rules(tree)


def build_rules(tree: dict[str, Any]) -> Rules:
    """Make rules of a decoded tree.

    Raises:
        ConfigurationError: As `load_rules`.
    """
    try:
        return Rules.model_validate(tree)
    except ValidationError as exc:
        places = "; ".join(f"{_place(error['loc'])}: {say_fault(error)}" for error in exc.errors())
        raise ConfigurationError(f"Правила не приняты: {places}") from exc


def rule_version(rules: Rules) -> str:
    """Return 64 hex digits (SHA-256) that stand for the content of the rules, however the file spells it."""
    return hashlib.sha256(rules_body(rules).encode()).hexdigest()


def rules_body(rules: Rules) -> str:
    """Return the rules as canonical JSON: same rules, same text."""
    return json.dumps(rules.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _look_up(dictionary: dict[str, str], name: str) -> str | None:
    key = normal_text(name)
    return next((value for local, value in dictionary.items() if normal_text(local) == key), None)


def _place(loc: tuple[int | str, ...]) -> str:
    """Spell a place as a person counts: the third item of `items` is `items.3`."""
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in loc) or "rules"


__all__ = [
    "DEFAULT_ITEMS",
    "DEFAULT_MAPPING_TOML",
    "DEFAULT_PASSES",
    "DEFAULT_PERCENT",
    "DEFAULT_WORDS",
    "FieldRule",
    "ItemRule",
    "Modes",
    "PercentStep",
    "Rules",
    "ScopeDecision",
    "ScopeRule",
    "build_rules",
    "everything_on",
    "load_rules",
    "parse_rules",
    "read_mapping_file",
    "rule_version",
    "rules_body",
]
