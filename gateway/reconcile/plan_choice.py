"""Chosen lines of a plan: what a person lets out of it, and what has to go with that.

What stands in one cell of the city's journal goes together or not at all: a mark set beside one that the same plan deletes,
changes or takes for ours would meet what the plan meant to have cleared away. The rest keeps its gates and stays readable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import Connection, bindparam, or_, select, update

from gateway.domain.errors import PlanRefusedError
from gateway.reconcile.compare import Category
from gateway.reconcile.holds import PUPIL_KINDS
from gateway.reconcile.tables import decision

CHOSEN = "chosen"
"""Gate of the lines that a person has chosen; the only one that such an approval opens."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to choose: lines by their numbers, and every line of these classes, pupils and kinds that may go.

    Attributes:
        items: Numbers of lines; each must be one that may go.
        classes: Comparable class names (`7А`).
        pupils: The city's numbers of pupils; homework of his group is not his alone.
        kinds: Kinds of records.
    """

    items: frozenset[int] = frozenset()
    classes: frozenset[str] = frozenset()
    pupils: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is named."""
        return not (self.items or self.classes or self.pupils or self.kinds)


class Line(msgspec.Struct, frozen=True):
    """A line of a plan that waits.

    Attributes:
        needs: The gate: none, approval, delete, many (deletes above the limit), guard, or refused, which nobody opens.
    """

    seq: int
    kind: str
    object_key: str
    scope: str
    needs: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that go.

    Attributes:
        named: Those that were asked for.
        added: Those that have to go with them.
    """

    named: tuple[int, ...]
    added: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """Both, in order of their numbers."""
        return tuple(sorted((*self.named, *self.added)))


def load_waiting_lines(conn: Connection, plan_id: int) -> list[Line]:
    """Load what of a plan was not decided upon yet and would do something."""
    rows = conn.execute(
        select(decision.c.seq, decision.c.kind, decision.c.object_key, decision.c.scope, decision.c.gate)
        .where(
            decision.c.plan_id == plan_id,
            decision.c.outcome.is_(None),
            or_(decision.c.op.is_not(None), decision.c.category == Category.ADOPTED.value),
        )
        .order_by(decision.c.seq)
    )
    return [Line(row.seq, row.kind, row.object_key or "", row.scope, row.gate) for row in rows]


def choose_lines(
    lines: Collection[Line], wanted: Wanted, gates: Collection[str], classes: Mapping[str, Collection[str]]
) -> Choice:
    """Choose, and add what stands in the same cells. Pure.

    Args:
        lines: From `load_waiting_lines`.
        wanted: What the person names.
        gates: Gates that this approval opens.
        classes: Scope → comparable names of the classes whose group it is.

    Raises:
        PlanRefusedError: A number that is no waiting line, a line behind a gate that was not named, or nothing left.
    """
    by_seq = {line.seq: line for line in lines}
    unknown = sorted(wanted.items - by_seq.keys())
    if unknown:
        raise PlanRefusedError(
            f"Таких строк в плане нет, или они уже решены: {_listed(unknown)}", reason="NOTHING_THERE"
        )
    shut = sorted(seq for seq in wanted.items if by_seq[seq].needs not in gates)
    if shut:
        raise PlanRefusedError(f"Строки {_listed(shut)} {_ask_for(by_seq[shut[0]].needs)}", reason="GATE_SHUT")
    named = set(wanted.items)
    named |= {line.seq for line in lines if line.needs in gates and _is_wanted(line, wanted, classes)}
    if not named:
        raise PlanRefusedError("Под этот отбор в плане ничего не ждёт", reason="NOTHING_NAMED")
    cells = {(by_seq[seq].kind, by_seq[seq].object_key) for seq in named if by_seq[seq].object_key}
    added = [line for line in lines if line.seq not in named and (line.kind, line.object_key) in cells]
    for line in added:
        if line.needs not in gates:
            raise PlanRefusedError(
                f"Вместе с выбранным уходит строка {line.seq} той же клетки журнала, а она {_ask_for(line.needs)}",
                reason="GATE_SHUT",
            )
    return Choice(named=tuple(sorted(named)), added=tuple(line.seq for line in added))


def mark_chosen(conn: Connection, plan_id: int, choice: Choice) -> None:
    """Put the chosen lines behind the one gate that is opened."""
    conn.execute(
        update(decision).where(decision.c.plan_id == plan_id, decision.c.seq == bindparam("b_seq")).values(gate=CHOSEN),
        [{"b_seq": seq} for seq in choice.all],
    )


def _is_wanted(line: Line, wanted: Wanted, classes: Mapping[str, Collection[str]]) -> bool:
    """Words of different sorts narrow one another, words of one sort add up."""
    if not (wanted.classes or wanted.pupils or wanted.kinds):
        return False
    return (
        (not wanted.classes or bool(wanted.classes & set(classes.get(line.scope, ()))))
        and (not wanted.kinds or line.kind in wanted.kinds)
        and (not wanted.pupils or _pupil_of(line) in wanted.pupils)
    )


def _pupil_of(line: Line) -> int | None:
    parts = line.object_key.split("/")
    return int(parts[1]) if parts[0] in PUPIL_KINDS and len(parts) > 1 and parts[1].isdigit() else None


def _ask_for(gate: str) -> str:
    words = {
        "delete": "требует разрешить удаления: --with-deletes",
        "guard": "удержана защитой: --with-held",
        "many": "удаляет сверх предела: --with-deletes --with-held",
    }
    return words.get(gate, "не может уйти из этого плана")


def _listed(numbers: Collection[int]) -> str:
    shown = list(numbers)[:20]
    return ", ".join(map(str, shown)) + (" …" if len(numbers) > len(shown) else "")


__all__ = ["CHOSEN", "Choice", "Line", "Wanted", "choose_lines", "load_waiting_lines", "mark_chosen"]
