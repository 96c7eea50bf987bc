"""Random schools' days with a restore in them, over HTTP: whatever came before and after the backup, the city stays right.

A hundred more are played without HTTP between, in `tests/simulation/test_seeds.py`.

One portal and one city serve all seeds; each seed begins with an empty city and the same empty database. Nothing here is
approved by hand but the first load, so that what only a person may decide shows up as held and is counted as such.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from gateway import __version__
from gateway.audit.deed import Actor
from gateway.audit.read import verify
from gateway.flows.backup import make_backup
from gateway.flows.restore import restore
from gateway.reconcile.tables import intended

OPERATOR = Actor(kind="os_user", name="operator")
SEEDS = 100
VALUES = (2, 3, 4, 5)


class Drill:
    """One world for all seeds."""

    def __init__(self, world: Any, template: Path) -> None:
        self.world = world
        self._template = template
        self._file = world.folder / "gateway.sqlite"

    def begin(self) -> None:
        self.world.city.post("reset", {"seed": 1})
        for old in self._file.parent.glob("gateway.sqlite*"):
            old.unlink()
        shutil.copyfile(self._template, self._file)

    def edit(self, rng: random.Random, count: int) -> None:
        """Teachers change their minds; some marks appear."""
        courseid = self.world.portal.courses()[0]
        cells = self.world.portal.cells(courseid)
        for userid, item in rng.sample(cells, min(count, len(cells))):
            value = rng.choice(VALUES)
            self.world.portal.edit("set_grade", courseid=courseid, userid=userid, itemid=item["id"], grade=value)

    def sync(self, *, deliver: bool = True) -> None:
        with self.world.open() as hand:
            synced = hand.sync(is_dry_run=not deliver)
            if deliver and synced.planned.plan.needs_approval:
                hand.approve(synced)
                hand.deliver()

    def back_up(self, path: Path) -> Path:
        with self.world.open() as hand:
            make_backup(hand.gateway.store, hand.gateway.audit, path, actor=OPERATOR)
        return path

    def put_back(self, path: Path) -> None:
        restore(
            self.world.database_url,
            path,
            clock=self.world.clock,
            actor=OPERATOR,
            environment="default",
            code_version=__version__,
            is_sure=True,
        )

    def live(self, rng: random.Random, folder: Path) -> None:
        """Some nights, a backup somewhere among them, an old file back at the end."""
        self.begin()
        copy: Path | None = None
        nights = rng.randint(1, 2)
        backup_at = rng.randint(0, nights)
        for night in range(nights + 1):
            if night == backup_at:
                copy = self.back_up(folder / "seed.backup")
            if night < nights:
                self.edit(rng, rng.randint(0, 4))
                if rng.random() < 0.3:
                    self.world.city.fault("drop_after_commit", path="/marks", method="POST", every=2)
                self.sync(deliver=rng.random() < 0.85)
                self.world.city.clear()
        if rng.random() < 0.3:
            self.edit(rng, 1)
        assert copy is not None
        self.put_back(copy)

    def check(self) -> Counter[str]:
        """Nothing twice, nothing lost, nothing silent; the chain whole."""
        with self.world.open() as hand:
            last = hand.until_quiet()
            held = {(row.kind, row.ref) for row in hand.decisions(last) if row.category in ("held", "rejected")}
            bases = {(row.kind, row.ref): row for row in hand.base_rows()}
            with hand.gateway.store.read() as conn:
                wanted = conn.execute(select(intended).where(intended.c.state == "sendable")).all()
            standing = {row["id"]: row for row in self.world.city.standing("marks")}
            cells = Counter((row["student_profile_id"], row["schedule_lesson_id"]) for row in standing.values())
            ours = Counter(
                (intent["pupil_id"], intent["lesson_id"])
                for row in wanted
                if row.kind == "mark"
                for intent in [msgspec.json.decode(row.intent)]
            )

            assert all(count <= ours[cell] for cell, count in cells.items() if cell in ours), "a mark stands twice"
            for row in wanted:
                key = (row.kind, row.ref)
                assert key in held or (key in bases and bases[key].digest == row.digest), "a mark is lost"
            for row in bases.values():
                assert row.kind != "mark" or row.city_id in standing, "a base without its mark"
            claimed = {row.city_id for row in bases.values() if row.kind == "mark"}
            shown = {row.city_id for row in hand.decisions(last) if row.city_id is not None}
            assert set(standing) <= claimed | shown, "a mark of ours that nobody tells of"
            assert all(verify(hand.gateway.store, stream).ok for stream in ("deeds", "access"))
            return Counter(held=len(held), agreed=len(bases))


def leave_one_column(portal: Any) -> None:
    courseid = portal.courses()[0]
    rows = portal.sandbox.book.course(courseid)
    manual = [item["id"] for _, item in portal.cells(courseid) if item["itemmodule"] is None]
    for itemid in dict.fromkeys(item["id"] for _, item in portal.cells(courseid)):
        if itemid != manual[0]:
            portal.edit("remove_item", courseid=courseid, itemid=itemid)
    for sessions in rows.sessions.values():
        for session in sessions:
            for user in [one["studentid"] for one in session["attendance_log"]]:
                portal.edit("set_attendance", courseid=courseid, sessionid=session["id"], userid=user, acronym="P")


@pytest.fixture
def drill(build_world: Any, tmp_path: Path) -> Drill:
    world = build_world(pupils=6, prepare=leave_one_column)
    with world.open() as hand:
        hand.link_everybody()
    template = tmp_path / "template.sqlite"
    with world.open() as hand:
        make_backup(hand.gateway.store, hand.gateway.audit, template, actor=OPERATOR)
    return Drill(world, template)


@pytest.mark.row("G5")
@pytest.mark.slow
def test_days_with_a_restore_double_nothing_and_lose_nothing(drill: Drill, tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in range(SEEDS):
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        try:
            drill.live(random.Random(seed), folder)
            total += drill.check()
        except BaseException as failure:
            failure.add_note(f"seed {seed}")
            raise

    assert total["agreed"] > total["held"] > 0, "the seeds must reach both what is adopted and what waits for a person"
