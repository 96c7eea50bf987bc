"""Tables of the command line: counters that add up, in Russian, with the reason beside the number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from gateway.domain.reasons import OWNER_RU, REASONS
from gateway.flows.deliver import Delivered
from gateway.flows.pull import Problem, Pulled
from gateway.reconcile.guard import GuardRow
from gateway.reconcile.plan import SealedPlan

KIND_WORDS = {
    "programme": "программы",
    "person": "люди",
    "group": "группы",
    "membership": "состав групп",
    "subject": "предметы",
    "period": "периоды",
    "lesson": "уроки",
    "mark": "отметки",
    "absence": "пропуски",
    "homework": "домашние задания",
    "attempt": "попытки тестов",
    "guardian": "родители",
    "lesson_plan": "строки КТП",
    "curriculum": "строки учебного плана",
    "programme_section": "темы рабочих программ",
    "comment": "замечания и опоздания",
    "final": "итоговые отметки",
    "topics": "темы уроков (КТП города)",
}
COUNTER_WORDS = {
    "read": "прочитано",
    "create": "создать",
    "update": "изменить",
    "delete": "удалить",
    "unchanged": "без изменений",
    "adopted": "уже стоит, связать",
    "held": "удержано",
    "waiting": "ждёт",
    "rejected": "нужна правка",
    "out_of_scope": "вне области",
}
PULL_WORDS = {
    "read": "прочитано",
    "new": "новых",
    "changed": "изменилось",
    "gone": "исчезло",
    "unchanged": "без изменений",
}
DELIVERY_WORDS = {
    "sent": "отправлено",
    "accepted": "принято",
    "verified": "подтверждено чтением",
    "parked": "отложено",
}
RUN_WORDS = {
    "pull": "чтение",
    "plan": "план",
    "sync": "весь путь",
    "deliver": "отправка",
    "verify": "проверка чтением",
    "schedule": "по расписанию",
    "undo": "отмена запуска",
    "emptied": "стёртое людьми",
}
OWNER_WORDS = OWNER_RU
_SOMEBODYS_MOVE = ("held", "waiting", "rejected")
VERDICT_WORDS = {"ask": "нужно утверждение", "hold": "удержано", "refuse": "отказано", "pass": "пропущено"}
GUARD_WORDS = {
    "first_load": "первое заполнение",
    "short_source": "источник пуст или неполон",
    "change_share": "много изменений",
    "delete_share": "много удалений",
    "delete": "удаление",
    "first_size": "первое заполнение",
    "lane_creates": "прирост",
    "lane_changes": "изменения",
    "lane_deletes": "удаления",
    "past_period": "закончившийся период",
    "average": "средний балл",
    "period_mark": "итог периода",
    "identity_churn": "сменились номера города",
    "class_transfer": "перевод в класс",
}
PLAN_STATES = {
    "waiting_approval": "ждёт утверждения",
    "ready": "готов",
    "approved": "утверждён",
    "used": "выполнен",
    "stale": "устарел",
    "draft": "строится",
}


class _Whole(Table):
    """A table whose long words are folded: an ellipsis would hide the end of a code, which is what tells two of them apart."""

    def add_column(self, header: RenderableType = "", *args: Any, **more: Any) -> None:
        """Add a column whose cells are folded where nothing else is asked for."""
        super().add_column(header, *args, **({"overflow": "fold"} | more))


def dense_table(title: str) -> Table:
    """A dense table: little frame, title on the left; on a narrow terminal cells grow taller, and nothing is cut off."""
    return _Whole(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", min_width=44)


def sentence(text: str | None) -> str:
    """A sentence with its full stop, so that another may follow."""
    stripped = (text or "").strip()
    return stripped if not stripped or stripped[-1] in ".!?…" else f"{stripped}."


def pull_table(pulled: Pulled) -> Table:
    """What was read, by kind."""
    return pull_counts_table(pulled.kinds)


def pull_counts_table(kinds: Mapping[str, Mapping[str, int]]) -> Table:
    """As `pull_table`, of a run's stored counters."""
    table = dense_table(title="Прочитано у школы")
    table.add_column("вид")
    for word in PULL_WORDS.values():
        table.add_column(word, justify="right")
    for kind, counts in kinds.items():
        if any(counts.values()):
            table.add_row(KIND_WORDS.get(kind, kind), *(str(counts[name]) for name in PULL_WORDS))
    return table


def plan_table(plan: SealedPlan) -> Table:
    """The plan's counters; they add up to what was read."""
    return plan_counts_table(f"План {plan.hash[:12]} · {PLAN_STATES.get(plan.state, plan.state)}", plan.counters)


def plan_counts_table(title: str, counters: Mapping[str, int]) -> Table:
    """As `plan_table`, of a run's stored counters."""
    table = dense_table(title=title)
    table.add_column("что")
    table.add_column("записей", justify="right")
    for name, word in COUNTER_WORDS.items():
        if counters.get(name) or name == "read":
            table.add_row(word, str(counters.get(name, 0)))
    return table


def reason_table(by_reason: Mapping[str, int]) -> Table:
    """Why records stand where they stand, and whose move it is."""
    table = dense_table(title="Причины")
    table.add_column("код")
    table.add_column("записей", justify="right")
    table.add_column("что это")
    table.add_column("чей ход")
    for code, count in by_reason.items():
        reason = REASONS.get(code)
        table.add_row(
            code,
            str(count),
            reason.what_ru if reason else "",
            OWNER_WORDS.get(reason.owner, reason.owner) if reason and reason.category in _SOMEBODYS_MOVE else "",
        )
    return table


def guard_table(plan: SealedPlan) -> Table | None:
    """The guard's lines, where there are any."""
    if not plan.guards:
        return None
    table = dense_table(title="Защита")
    for head in ("защита", "вид", "областей", "предел", "есть", "решение", "кто может разрешить"):
        table.add_column(head)
    alike: dict[tuple[str, ...], list[GuardRow]] = {}
    for row in plan.guards:
        kind = KIND_WORDS.get(row.scope.partition("|")[0], row.scope)
        alike.setdefault((row.guard, kind, row.limit, row.verdict, row.override), []).append(row)
    for (guard, kind, limit, verdict, override), rows in alike.items():
        table.add_row(
            GUARD_WORDS.get(guard, guard),
            kind,
            str(len(rows)),
            limit,
            ", ".join(row.actual for row in rows[:4]) + (" …" if len(rows) > 4 else ""),
            VERDICT_WORDS[verdict],
            OWNER_WORDS.get(override, override),
        )
    return table


def delivery_table(delivered: Delivered) -> Table:
    """Sent is not accepted, accepted is not verified."""
    counts = {name: getattr(delivered, name) for name in DELIVERY_WORDS}
    return delivery_counts_table(counts, open_count=delivered.open_count)


def delivery_counts_table(counts: Mapping[str, int], *, open_count: int | None = None) -> Table:
    """As `delivery_table`, of a run's stored counters: what is in the queue now is not among them."""
    table = dense_table(title="Отправка")
    words = [*DELIVERY_WORDS.values(), *(("в очереди",) if open_count is not None else ())]
    for head in words:
        table.add_column(head, justify="right")
    cells = [str(counts.get(name, 0)) for name in DELIVERY_WORDS]
    table.add_row(*cells, *(() if open_count is None else (str(open_count),)))
    return table


def problem_table(problems: Sequence[Problem]) -> Table | None:
    """What did not come through."""
    if not problems:
        return None
    table = dense_table(title="Замечания")
    for head in ("область", "где", "код", "что делать"):
        table.add_column(head)
    for problem in problems[:50]:
        table.add_row(problem.scope, escape(problem.where), problem.reason, escape(problem.sentence))
    if len(problems) > 50:
        table.add_row("…", "", "", f"ещё {len(problems) - 50}")
    return table
