"""Whose word wins where two sources of the school speak of one thing: declared, versioned with the rules, with an owner.

Pure. Between correlation (which records are one thing) and mapping (what the city gets for it). A word that is missing is
no word: a source that is silent about a field, or about a thing, neither wins nor contradicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from gateway.domain.identifiers import PORTAL

PORTAL_NAME = "portal"
"""How the rules name the portal, whose refs bear no name."""
JOURNAL = "journal"
"""Source of what is typed into the gateway itself."""

SourceOwner = Literal["teacher", "curator", "deputy_head", "admin"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FieldPrecedence(_Frozen):
    """Whose word wins for one field, and what two different words mean."""

    order: tuple[str, ...] = ()
    """Sources, the first wins; those not named follow in the general order. Empty = the general order."""
    on_conflict: Literal["hold", "precedence"] = "precedence"
    """`hold`: two different words wait for the owner; `precedence`: the first source's word counts and the other is noted."""
    owner: SourceOwner = "teacher"
    """Post that is asked."""


DEFAULT_ORDER = (JOURNAL, PORTAL_NAME, "planner", "workbook")
"""What a person typed here on purpose, then the gradebook, which counts, then the planner and its workbooks, which are copied by hand."""
DEFAULT_FIELDS: dict[str, FieldPrecedence] = {
    "mark.value": FieldPrecedence(on_conflict="hold"),
    "absence.form": FieldPrecedence(on_conflict="hold"),
    "final.value": FieldPrecedence(on_conflict="hold"),
    "lesson.time": FieldPrecedence(order=("timetable", "planner", "workbook"), owner="deputy_head"),
    "lesson.topic": FieldPrecedence(order=("planner", "workbook")),
}
"""A wrong mark or «н» hurts, so two words wait; the timetable is the planner's, so are topics."""


class SourceRules(_Frozen):
    """Precedence of the school's sources: `[sources]` of the rules' file."""

    order: tuple[str, ...] = DEFAULT_ORDER
    """Sources by name, the first wins; one that is not named comes last, by its name."""
    fields: dict[str, FieldPrecedence] = {}
    """`[sources.fields."mark.value"]`: a field with an order or a conflict of its own."""

    @field_validator("fields")
    @classmethod
    def _known_fields(cls, value: dict[str, FieldPrecedence]) -> dict[str, FieldPrecedence]:
        unknown = sorted(set(value) - KNOWN_FIELDS)
        if unknown:
            raise ValueError(f"{unknown[0]}: такого поля нет, а есть {', '.join(sorted(KNOWN_FIELDS))}")
        return value

    def of(self, field: str) -> FieldPrecedence:
        """Return what is declared of a field, by the school or by default."""
        return self.fields.get(field) or DEFAULT_FIELDS.get(field) or _USUAL

    def rank(self, source: str, field: str = "") -> tuple[int, str]:
        """Return a source's place in the order of a field, the lowest wins; comparable and total."""
        name = name_of(source)
        order = [*self.of(field).order, *(one for one in self.order if one not in self.of(field).order)]
        return (order.index(name) if name in order else len(order), name)


def name_of(source: str) -> str:
    """Name a source as the rules and people do."""
    return PORTAL_NAME if source == PORTAL else source


_USUAL = FieldPrecedence()
FIELD_GROUPS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "person": {
        "names": ("last_name", "first_name", "middle_name"),
        "birth_on": ("birth_on",),
        "class_name": ("class_name",),
        "ids": ("person_id",),
        "school_id": ("school_id",),
    },
    "group": {"class_name": ("class_name",)},
    "lesson": {
        "time": ("starts_at", "duration_min", "ordinal"),
        "form": ("form",),
        "topic": ("topic",),
    },
    "mark": {
        "value": ("raw_points", "scale", "word", "is_overridden"),
        "work": (
            *("item", "item_name", "item_number", "item_form", "module", "activity", "category"),
            *("due_at", "closes_at", "lesson_at", "graded_at"),
        ),
        "weight": ("weight",),
        "comment": ("comment",),
    },
    "absence": {"form": ("form",)},
    "final": {"value": ("raw_points", "scale", "word")},
    "homework": {"text": ("title", "text"), "days": ("assigned_on", "prepared_for"), "pupils": ("pupils",)},
}
"""Fields that move together, by kind: a mark's points mean nothing on another source's scale."""
SAYS_NOTHING: Mapping[str, Sequence[object]] = {"lesson.form": ("offline",)}
"""Values that are no word: a timetable does not know of a lesson held online."""
KNOWN_FIELDS = frozenset(f"{kind}.{field}" for kind, groups in FIELD_GROUPS.items() for field in groups)

__all__ = [
    "DEFAULT_FIELDS",
    "DEFAULT_ORDER",
    "FIELD_GROUPS",
    "JOURNAL",
    "KNOWN_FIELDS",
    "PORTAL_NAME",
    "SAYS_NOTHING",
    "FieldPrecedence",
    "SourceOwner",
    "SourceRules",
    "name_of",
]
