"""The demo's story, step by step, on the production flows: nothing here decides, sends or counts by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from gateway.audit.deed import STREAMS
from gateway.audit.read import export, verify
from gateway.cli.context import build_want
from gateway.cli.demo_planner import PlannerStep, sent_marks
from gateway.cli.demo_school import RATE_PER_S, DemoSchool
from gateway.cli.protocol import kept_sentence
from gateway.cli.words import delivery_table, guard_table, plan_table, pull_table, reason_table, sentence
from gateway.domain.city import MarkIntent
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import REASONS
from gateway.domain.records import Mark
from gateway.flows.deliver import deliver
from gateway.flows.gateway import Gateway
from gateway.flows.links import import_roster
from gateway.flows.plan import Planned, make_plan
from gateway.flows.protocols import keep_protocols
from gateway.flows.pull import pull
from gateway.flows.runs import start_run
from gateway.flows.sync import Synced, delivery_counts, finish_sync
from gateway.mapping.links import load_links
from gateway.mapping.roster_file import read_roster
from gateway.queue.approval import approve
from gateway.queue.outbox import release
from gateway.queue.parking import load_operations
from gateway.reconcile.snapshot import load_records
from gateway.report.plan_view import PlanLine, iter_plan_lines

FIVE = 5.0
SHOWN_LINES = 6


class Demo:
    """One demo: runs the steps and collects what `--json` prints.

    Args:
        gateway: The composed gateway.
        school: Both sandboxes and the folder.
        say: Where lines and tables for people go.
    """

    def __init__(self, gateway: Gateway, school: DemoSchool, *, say: Callable[..., None]) -> None:
        self._gateway = gateway
        self._school = school
        self._say = say
        self._want = build_want(gateway)

    def run(self) -> dict[str, Any]:
        """Run all steps; the keys are those of the issue, without `duration_s`."""
        self._say(f"[bold]1. Песочницы[/bold]: портал {self._school.portal_url}, город {self._school.city_url}")
        self._say(f"   темп поднят до {RATE_PER_S:.0f} запросов в секунду с обеих сторон; в настоящий город — 5")
        first = self._first_sync()
        second_plan = self._plan_again()
        self._second_sync()
        PlannerStep(self._gateway, self._school, self._want, say=self._say).run()
        self._keep_protocols()
        return {**first, "second_plan": second_plan, "audit": self._prove()}

    def _first_sync(self) -> dict[str, Any]:
        gateway = self._gateway
        run_id = start_run(gateway, "sync", self._want)
        pulled = pull(gateway, self._want, run_id)
        self._say("[bold]2. Портал прочитан[/bold]")
        self._say(pull_table(pulled))
        links = import_roster(gateway, read_roster(self._school.roster), is_dry_run=False)
        self._say(
            f"[bold]3. Кто есть кто[/bold]: по person_id портала связано {links.unchanged}, "
            f"по списку канцелярии ещё {links.confirmed}, не принято строк {len(links.refused)}"
        )
        planned = make_plan(gateway, self._want, run_id)
        self._say("[bold]4. План[/bold]: показан прежде, чем что-либо отправлено")
        self._show(planned)
        approve(
            gateway.store,
            gateway.audit,
            gateway.place,
            planned.plan.id,
            reason="проба: первое заполнение журнала",
            with_deletes=False,
            with_held=False,
            actor=gateway.actor,
        )
        released = release(
            gateway.store, gateway.audit, gateway.place, planned.plan.id, lane="demand", actor=gateway.actor
        )
        delivered = deliver(gateway, run_id, max_wait_s=30.0)
        finish_sync(
            gateway, Synced(run_id=run_id, pulled=pulled, planned=planned, released=released, delivered=delivered)
        )
        self._say(f"[bold]5. Утверждён и отправлен[/bold]: {gateway.actor.name}, с причиной, один раз")
        self._say(delivery_table(delivered))
        return {
            "pull": pulled.kinds,
            "plan": planned.plan.counters,
            "by_reason": planned.plan.by_reason,
            "delivery": delivery_counts(delivered),
        }

    def _plan_again(self) -> dict[str, int]:
        gateway = self._gateway
        run_id = start_run(gateway, "plan", self._want)
        planned = make_plan(gateway, self._want, run_id)
        finish_sync(gateway, Synced(run_id=run_id, planned=planned))
        counters = planned.plan.counters
        self._say(
            f"[bold]6. План сразу после отправки[/bold]: создать {counters['create']}, изменить {counters['update']}, "
            f"удалить {counters['delete']}, без изменений {counters['unchanged']}"
        )
        return counters

    def _second_sync(self) -> None:
        """Marks change on both sides; the city refuses one, and one is a person's own there."""
        gateway = self._gateway
        lesson_id = self._edit_both_sides()
        run_id = start_run(gateway, "sync", self._want)
        pulled = pull(gateway, self._want, run_id)
        planned = make_plan(gateway, self._want, run_id)
        self._school.post(self._school.city_url, "human", {"op": "cancel", "kind": "lesson", "id": lesson_id})
        released = release(
            gateway.store, gateway.audit, gateway.place, planned.plan.id, lane="nightly", actor=gateway.actor
        )
        delivered = deliver(gateway, run_id, max_wait_s=30.0)
        finish_sync(
            gateway, Synced(run_id=run_id, pulled=pulled, planned=planned, released=released, delivered=delivered)
        )
        self._say("[bold]8. Вторая синхронизация[/bold]")
        self._say(plan_table(planned.plan))
        self._say(delivery_table(delivered))
        self._tell(planned)

    def _edit_both_sides(self) -> int:
        """Change two marks and add one at the portal, change one in the city; return the lesson of the added mark."""
        with self._gateway.store.write() as conn:
            place_id = self._gateway.place_id(conn)
            sent = sent_marks(conn, place_id)
            cell = _free_cell(conn, place_id, sent)
        for mark, intent, _ in sent[:2]:
            self._set_grade(mark.programme, mark.item, mark.pupil, 4.0 if intent.value == "5" else 5.0)
        _, intent, city_id = sent[2]
        self._school.post(
            self._school.city_url,
            "human",
            {"op": "change", "kind": "mark", "id": city_id, "value": "3" if intent.value != "3" else "4"},
        )
        added, lesson_id = cell
        self._set_grade(added.programme, added.item, added.pupil, 5.0)
        self._say(
            "[bold]7. Правки[/bold]: на портале исправлены две отметки и поставлена одна, в городе учитель исправил одну; "
            "пока план ждал, в городе отменили урок"
        )
        return lesson_id

    def _set_grade(self, programme: str, item: str, pupil: str, grade: float) -> None:
        self._school.post(
            self._school.portal_url,
            "edit",
            {
                "op": "set_grade",
                "courseid": _number(programme),
                "itemid": _number(item),
                "userid": _number(pupil),
                "grade": grade,
            },
        )

    def _show(self, planned: Planned) -> None:
        self._say(plan_table(planned.plan))
        self._say(reason_table(planned.plan.by_reason))
        guards = guard_table(planned.plan)
        if guards is not None:
            self._say(guards)
        lines = self._lines(planned.plan.id)
        for line in lines[:SHOWN_LINES]:
            self._say(f"   {_sentence(line)}")
        if len(lines) > SHOWN_LINES:
            self._say(f"   … ещё {len(lines) - SHOWN_LINES}: gateway plan show")

    def _tell(self, planned: Planned) -> None:
        """Say the one discrepancy and the one refusal in words."""
        refused = self._refused()
        for line in self._lines(planned.plan.id):
            if line.reason == "DRIFT":
                self._say(f"[yellow]Расхождение[/yellow]: {_sentence(line)}")
            elif line.ref in refused and line.outcome == "queued":
                code, said = refused[line.ref]
                self._say(
                    f"[red]Город отказал[/red]: {_sentence(line)} — {code}: {sentence(said)} {REASONS[code].todo_ru}"
                )

    def _refused(self) -> dict[str, tuple[str, str]]:
        with self._gateway.store.write() as conn:
            rows = load_operations(conn, self._gateway.place_id(conn), state="parked", limit=20)
        return {row.ref: (row.reason, row.sentence or "") for row in rows}

    def _lines(self, plan_id: int) -> list[PlanLine]:
        with self._gateway.store.write() as conn:
            return list(iter_plan_lines(conn, self._gateway.place_id(conn), plan_id))

    def _keep_protocols(self) -> None:
        """What a whole sync does last: what tests show to their pupils is kept here and goes nowhere."""
        kept = keep_protocols(self._gateway)
        if kept is not None:
            # the recording holds the reviews of some attempts only
            note = "; остальных в записи нет" if kept.refused else ""
            self._say(f"[bold]10. {kept_sentence(kept)}[/bold]{note}; в город не уходят")

    def _prove(self) -> dict[str, Any]:
        reports = [verify(self._gateway.store, stream) for stream in STREAMS]
        export(self._gateway.store, self._school.folder / "audit.jsonl")
        entries = sum(report.entries for report in reports)
        is_whole = all(report.ok for report in reports)
        self._say(f"[bold]11. Аудит[/bold]: записей {entries}, цепочка {'цела' if is_whole else 'НАРУШЕНА'}")
        return {"entries": entries, "chain_ok": is_whole}

    def say_next(self, folder: Path, duration_s: float) -> None:
        """What to type next."""
        self._say(f"Готово за {duration_s:.1f} с. Всё лежит в папке {folder.name}/: база, список, аудит. Дальше:")
        config = f"--config {folder.name}/gateway.toml"
        for line in (
            f"gateway plan show {config}",
            f"gateway runs {config}",
            f"gateway protocol check {config}",
            f"gateway queue --state parked {config}",
            f"gateway audit verify {config}",
            "gateway init      # своя школа: адреса и токены, затем gateway check",
        ):
            self._say(f"   {line}")


def _sentence(line: PlanLine) -> str:
    day = f"{line.on:%d.%m}" if line.on is not None else "—"
    note = f" — {line.reason}: {line.note} Ход: {line.owner}." if line.note else ""
    return f"{line.class_name}, {line.pupil}, {line.subject}, {day}: {line.words}{note}"


def _number(ref: str) -> int:
    return int(ref.rpartition(":")[2])


def _free_cell(conn: Connection, place_id: int, sent: list[tuple[Mark, MarkIntent, int]]) -> tuple[Mark, int]:
    """A cell without a mark: another item's lesson, a linked pupil of the same group who has none there."""
    taken = {(mark.item, mark.pupil) for mark in load_records(conn, place_id, Mark)}
    edited = {intent.lesson_id for _, intent, _ in sent[:3]}
    linked = load_links(conn, place_id, Kind.PERSON)
    for mark, intent, _ in sent:
        if intent.lesson_id in edited:
            continue
        for other, _, _ in sent:
            if other.group == mark.group and other.pupil in linked and (mark.item, other.pupil) not in taken:
                return msgspec.structs.replace(mark, pupil=other.pupil), intent.lesson_id
    raise LookupError("no free cell in this school")
