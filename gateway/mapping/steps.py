"""How the rules come to what they say of one record: input → steps → output, for who looks before he decides.

Pure. It repeats no decision: each step asks the rules what `mapping.mesh` asks them, and the verdict is its own.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from gateway.domain.city import MarkIntent
from gateway.domain.records import Final, Mark
from gateway.mapping.context import GroupContext, Mapped
from gateway.mapping.mesh import Sent
from gateway.mapping.values import exact, five_by_percent


class Step(msgspec.Struct, frozen=True):
    """One step: its name, what came in, what came out."""

    name: str
    given: str
    result: str


def explain(record: Sent, mapped: Mapped, context: GroupContext) -> list[Step]:
    """Say step by step how a record was mapped; a step that was not reached is left out."""
    steps = [_scope_step(record, context)]
    if isinstance(record, Mark):
        steps += _mark_steps(record, mapped, context)
    elif isinstance(record, Final):
        steps.append(_value_step(record, mapped, context))
    if mapped.on is not None:
        steps.append(Step("день", mapped.lesson_rule or "", f"{mapped.on:%d.%m.%Y}"))
    return steps


def _scope_step(record: Sent, context: GroupContext) -> Step:
    subjects = (context.subject, context.city_group.subject_name)
    found = context.rules.scope_for(record.kind, subjects, context.class_name)
    row = "ни одна строка" if found.row is None else f"строка {found.row}"
    modes = f"{found.modes.create}/{found.modes.change}/{found.modes.delete}"
    return Step(
        "что передаётся",
        f"{record.kind.value}, {context.subject}, {context.class_name or '—'}",
        f"{row}: {found.direction}, {modes}",
    )


def _mark_steps(mark: Mark, mapped: Mapped, context: GroupContext) -> list[Step]:
    rules = context.rules
    rule = rules.find_item_rule(mark)
    given = f"{mark.item_name} ({mark.module or mark.item_form})"
    if rule is None:
        return [Step("вид работы", given, "ни одна строка не подошла")]
    row = f"строка {rules.items.index(rule) + 1}, {rule.match} {rule.pattern}"
    if not rule.send:
        return [Step("вид работы", given, f"{row}: не передавать")]
    steps = [Step("вид работы", given, f"{row}: {rule.form}")]
    name = rules.form_name(rule)
    if isinstance(mapped.intent, MarkIntent):
        form = next((one for one in context.forms if one.id == mapped.intent.form_id), None)
        steps.append(Step("форма контроля", name, f"{form.name if form else name}, вес {mapped.intent.weight}"))
    else:
        steps.append(Step("форма контроля", name, "—"))
    steps.append(_value_step(mark, mapped, context))
    return steps


def _value_step(mark: Mark | Final, mapped: Mapped, context: GroupContext) -> Step:
    if mark.word is not None and mark.word.strip():
        given = f"слово «{mark.word.strip()}»"
    else:
        given = f"{mark.raw_points:g} из {mark.scale.maximum:g}"
        percent = _percent_of(mark)
        if percent is not None and mapped.on is not None:
            by_table = five_by_percent(percent, context.rules, mapped.on)
            given += f", {float(percent):.1f} % → {by_table if by_table is not None else '—'}"
    value = getattr(mapped.intent, "value", None)
    return Step("значение", given, value if value is not None else "—")


def _percent_of(mark: Mark | Final) -> Fraction | None:
    low, high = exact(mark.scale.minimum), exact(mark.scale.maximum)
    if mark.scale.form == "words" or high <= low or high == 5:  # five points are marks already
        return None
    return (exact(mark.raw_points) - low) / (high - low) * 100
