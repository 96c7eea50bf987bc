"""Planted names, comments, points and tokens come through nowhere but the places made for them.

A whole story with faults on both sides runs with logging at DEBUG; then every log line, every exception that was made, every
sentence an operator sees, every URL and every column of the database is searched.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select

import gateway.domain.errors as errors
from gateway.domain.errors import GatewayError
from gateway.sandbox.portal.app import DEFAULT_TOKEN
from gateway.store.metadata import metadata
from gateway.telemetry import configure_logging

COURSE = 2
NAMES = ("Канарейкин", "Щеглова", "Снегирёв")
FIRST_NAMES = ("Лазурий", "Охрана", "Кармин")
COMMENT = "отзыв-канарейка-7319"
TASK = "задание-канарейка-5127"
POINTS = 4.37
REASON = "основание-канарейка-8841"

HOLD_VALUES = {
    "record.body",
    "record_version.body",
    "intended.intent",
    "shadow.body",
    "shadow_version.body",
    "base.intent",
    "decision.intent",
    "decision.old",
    "operation.intent",
    "operation.old",
    "city_directory.body",
    "human_note.text",
}
"""Columns made for people's names and values; a typed reason may name a child and is kept beside the chain."""


def plant(portal: Any) -> None:
    for user, last, first in zip((1000, 1001, 1002), NAMES, FIRST_NAMES, strict=True):
        portal.edit("set_name", userid=user, lastname=last, firstname=first)
    user, item = next((user, item) for user, item in portal.cells(COURSE) if item["itemtype"] == "manual")
    portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=POINTS, feedback=COMMENT)
    portal.sandbox.book.course(COURSE).assignments["assignments"][0]["intro"] = TASK


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[GatewayError]:
    """Every error of ours that was made, also one that was caught far below."""
    kept: list[GatewayError] = []
    build = errors.GatewayError.__init__

    def keeping(self: GatewayError, *args: Any, **more: Any) -> None:
        build(self, *args, **more)
        kept.append(self)

    monkeypatch.setattr(errors.GatewayError, "__init__", keeping)
    return kept


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    before = logging.getLogger().level
    configure_logging(stream, "DEBUG")
    yield stream
    configure_logging(io.StringIO(), "WARNING")
    logging.getLogger().setLevel(before)


def tokens(world: Any) -> list[str]:
    found = [DEFAULT_TOKEN]
    for profile in world.city.profiles:
        found += [profile["token"], profile["password"]]
    return found


def canaries(world: Any) -> list[str]:
    return [*NAMES, *FIRST_NAMES, COMMENT, TASK, str(POINTS), REASON, *tokens(world)]


def spellings(canary: str) -> Iterable[str]:
    """As it stands, and as JSON and URLs write it."""
    return {canary, json.dumps(canary)[1:-1], quote(canary)}


def find(text: str, wanted: Iterable[str]) -> list[str]:
    return [canary for canary in wanted if any(_occurs(spelling, text) for spelling in spellings(canary))]


def _occurs(canary: str, text: str) -> bool:
    # «4.37» is also a part of many a moment: 18:14:24.3701
    return canary in text and re.search(rf"(?<![\d.]){re.escape(canary)}(?!\d)", text) is not None


def live_through(world: Any) -> tuple[list[BaseException], list[str]]:
    """Faults, refusals, a drift, a twin, a deleted mark and a dead token, as several days would bring them."""
    raised: list[BaseException] = []
    shown: list[str] = []

    def sync(hand: Any) -> Any:
        try:
            synced = hand.sync()
        except GatewayError as error:
            raised.append(error)
            shown.append(error.sentence)
            return None
        shown.append(synced.sentence)
        shown.extend(problem.sentence for part in (synced.pulled, synced.planned) for problem in part.problems)
        return synced

    with world.open() as hand:
        hand.link_everybody()
        for fault in ("html", "500", "truncate", "null_names", "float_ids"):
            world.city.fault(fault, method="GET", every=4)
            sync(hand)
            world.city.clear()
        for fault in ("warnings", "typeerror", "xml", "html", "truncate", "errorcode:nopermissions", "errorcode:other"):
            world.portal.fault(fault, every=5)
            sync(hand)
            world.portal.clear()
        synced = sync(hand)
        for fault, every in (("drop_after_commit", 3), ("html", 5), ("truncate", 4)):
            world.city.fault(fault, path=r"/(marks|attendances|homeworks)$", method="POST", every=every)
        refused = world.city.state()["student_profiles"][0]["id"]
        row = world.city.sandbox.state.find("student_profiles", refused)
        hand.approve(synced, reason=REASON)
        world.city.sandbox.state.put("student_profiles", {**row, "groups": []}, now=world.clock.now())
        shown.append(hand.deliver().sentence)
        world.city.clear()
        world.clock.advance(3600)
        sync(hand)

        standing = world.city.standing("marks")
        world.city.human("change", "mark", id=standing[0]["id"], value="2")
        world.city.human("delete", "mark", id=standing[1]["id"])
        user, item = next((user, item) for user, item in world.portal.cells(COURSE) if item["itemmodule"] == "assign")
        world.portal.edit("clear_grade", courseid=COURSE, itemid=item["id"], userid=user)
        world.portal.edit("set_name", userid=1002, lastname=NAMES[0])
        sync(hand)
        world.city.fault("kill_token", method="GET", times=1)
        sync(hand)
        shown.extend(run.sentence or "" for run in hand.runs())
        shown.extend(json.dumps(run.problems, ensure_ascii=False) for run in hand.runs())
        shown.extend(str(getattr(row, "sentence", "") or "") for row in hand.operations())
        shown.extend(str(entry) for entry in hand.actions())
    return raised, shown


def test_no_canary_leaves_the_columns_made_for_it(build_world: Any, made: list[GatewayError], log: io.StringIO) -> None:
    world = build_world(pupils=3, prepare=plant)
    wanted = canaries(world)
    world.city.asked.clear()
    raised, shown = live_through(world)

    assert len(made) > 20
    assert raised
    assert log.getvalue()
    assert find(log.getvalue(), wanted) == []
    for error in made:
        assert find(" ".join(iter_texts(error)), wanted) == []
    assert find("\n".join(shown), wanted) == []
    for side in (world.portal, world.city):
        assert side.asked
        urls = "\n".join(f"{one.path}?{one.query}" for one in side.asked)
        assert find(urls, wanted) == []


def test_values_are_stored_only_where_they_belong_and_tokens_nowhere(build_world: Any) -> None:
    world = build_world(pupils=3, prepare=plant)
    people, secrets = [*NAMES, *FIRST_NAMES, COMMENT, TASK, str(POINTS), REASON], tokens(world)
    live_through(world)

    seen: dict[str, set[str]] = {}
    with world.open() as hand, hand.gateway.store.read() as conn:
        for table in metadata.sorted_tables:
            for row in conn.execute(select(table)):
                for column, value in zip(table.columns, row, strict=True):
                    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                    assert find(text, secrets) == [], f"{table.name}.{column.name}"
                    for canary in find(text, people):
                        seen.setdefault(f"{table.name}.{column.name}", set()).add(canary)

    assert seen.keys() <= HOLD_VALUES
    assert {COMMENT, str(POINTS), NAMES[0]} <= seen["record.body"], "the canaries were there to be found"


def iter_texts(error: BaseException) -> Iterator[str]:
    """Texts and arguments of an exception and of everything it came from."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield str(one)
        yield repr(one.args)
        yield " ".join(getattr(one, "__notes__", ()))
        if isinstance(one, GatewayError):
            yield repr(vars(one))
        waiting += [one.__cause__, one.__context__]
