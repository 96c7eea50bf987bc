"""Every page of the runbook is tried: its very commands, in the trouble that it is for, with the exit codes scripts see."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import gateway.bootstrap
import gateway.cli.backup
from gateway.cli.app import app
from gateway.domain.identifiers import Kind
from gateway.mapping.links import confirm, load_links
from gateway.mapping.rules_template import DEFAULT_MAPPING_TOML
from gateway.sandbox.portal.app import DEFAULT_TOKEN

PAGES = Path(__file__).parents[2] / "docs" / "operations" / "runbook"
PASSWORD = "correct horse 7"
DONE, FAULT, REMARKS, PERSON, PAUSED = 0, 1, 3, 4, 5


class Desk:
    """An operator with a page of the runbook in front of him."""

    def __init__(self, world: Any, page: str) -> None:
        self.world = world
        self._wanted = set(re.findall(r"`(gateway [^`]+)`", (PAGES / page).read_text(encoding="utf-8")))
        self._done: set[str] = set()

    def do(self, command: str, *, expect: int | tuple[int, ...] = DONE, **words: object) -> Result:
        """Type one of the page's commands, its words in capitals filled in, and the password where it is asked for."""
        assert command in self._wanted, f"the page has no «{command}»"
        self._done.add(command)
        return self.type([str(words.get(word, word)) for word in shlex.split(command)[1:]], expect=expect)

    def admit(self, *logins: str) -> None:
        """Accounts of deputy heads, for what two persons decide."""
        for login in logins:
            self.type(["users", "add", login, "--role", "deputy_head", "--password-stdin"])

    def type(self, words: list[str], *, expect: int | tuple[int, ...] = DONE) -> Result:
        result = CliRunner().invoke(app, words, input=f"{PASSWORD}\n")
        wanted = expect if isinstance(expect, tuple) else (expect,)
        assert result.exit_code in wanted, f"{words}: {result.exit_code} {result.stdout} {result.stderr}"
        return result

    def waiting_plan(self) -> str:
        shown = self.type(["plan", "show"]).stdout
        found = re.search(r"План ([0-9a-f]{12})", shown)
        assert found is not None
        return found[1]

    def finish(self, *, only_if_asked: Collection[str] = ()) -> None:
        """Nothing on the page was left untried."""
        assert self._wanted - set(only_if_asked) <= self._done


@pytest.fixture
def open_desk(build_world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Desk]:
    """A little school, its settings in the current folder, everything linked, nothing sent yet."""
    world = build_world(pupils=6)
    monkeypatch.setattr(gateway.bootstrap, "SystemClock", lambda: world.clock)
    monkeypatch.setattr(gateway.cli.backup, "SystemClock", lambda: world.clock)
    monkeypatch.chdir(tmp_path)
    admin = world.city.profiles[0]
    (tmp_path / "token.txt").write_text(admin["token"])
    (tmp_path / "gateway.toml").write_text(
        f"""
[database]
url = "{world.database_url}"
[portal]
base_url = "{world.portal.base_url}"
token = "{DEFAULT_TOKEN}"
[mesh]
base_url = "{world.city.base_url}"
school_id = 586
profile_id = {admin["profile_id"]}
token_file = "token.txt"
rate_per_s = 1000
settle_s = 30
deadline_s = 5
""",
        encoding="utf-8",
    )
    with world.open() as hand:
        hand.link_everybody()
    return lambda page: Desk(world, page)


def fill(desk: Desk) -> None:
    """The first load: planned, approved, delivered."""
    desk.type(["sync"], expect=PERSON)
    desk.type(["plan", "approve", desk.waiting_plan(), "--reason", "первое заполнение"])
    desk.type(["deliver"])


def settle(desk: Desk, **mesh: Any) -> None:
    """Everything is in the city once, and the database, the audit and the city tell the same."""
    with desk.world.open(**mesh) as hand:
        hand.until_quiet()
        hand.assert_sound()


def values(desk: Desk) -> Counter[Any]:
    return Counter((row["student_profile_id"], row["schedule_lesson_id"]) for row in desk.world.city.standing("marks"))


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_has_at_most_ten_lines(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 10


def test_token_dead(open_desk: Callable[[str], Desk]) -> None:
    desk = open_desk("token-dead.md")
    desk.type(["sync"], expect=PERSON)
    desk.type(["plan", "approve", desk.waiting_plan(), "--reason", "первое заполнение"])
    desk.world.city.fault("kill_token", path="/marks", method="POST", every=3, times=1)
    desk.type(["deliver"], expect=PAUSED)

    assert "AUTH" in desk.do("gateway queue --state ready").stdout
    desk.do("gateway check", expect=(DONE, FAULT))
    Path("token.txt").write_text(desk.world.city.log_in(desk.world.city.profiles[0]))
    desk.do("gateway deliver --resume")
    desk.do("gateway verify")

    desk.finish()
    settle(desk, token_file="token.txt")


def test_city_down(open_desk: Callable[[str], Desk]) -> None:
    desk = open_desk("city-down.md")
    desk.type(["sync"], expect=PERSON)
    desk.type(["plan", "approve", desk.waiting_plan(), "--reason", "первое заполнение"])
    desk.world.city.fault("503", path="/marks")
    desk.type(["deliver", "--no-wait"], expect=(REMARKS, PAUSED))

    assert "исход неизвестен" in desk.do("gateway queue").stdout
    desk.world.city.clear()
    desk.world.clock.advance(3600)
    for _ in range(4):
        if desk.do("gateway deliver", expect=(DONE, REMARKS)).exit_code == DONE:
            break
        desk.world.clock.advance(3600)
    desk.do("gateway verify")
    desk.do("gateway sync")
    assert "ждать журнала" in desk.do("gateway hand-list outage").stdout

    desk.finish()
    settle(desk)


def test_held_plan(open_desk: Callable[[str], Desk]) -> None:
    desk = open_desk("held-plan.md")
    desk.type(["sync"], expect=PERSON)
    stale = desk.waiting_plan()

    assert "ждёт утверждения" in desk.do("gateway plan show").stdout
    courseid = desk.world.portal.courses()[0]
    userid, item = desk.world.portal.cells(courseid)[0]
    desk.world.portal.edit("set_grade", courseid=courseid, userid=userid, itemid=item["id"], grade=2)
    desk.do("gateway sync", expect=PERSON)
    desk.do("gateway plan approve HASH --reason WHY", expect=PERSON, HASH=stale, WHY="устарел")
    assert desk.world.city.machine_ledger() == []
    desk.do("gateway plan approve HASH --reason WHY", HASH=desk.waiting_plan(), WHY="проверено")
    desk.do("gateway deliver")

    desk.finish()
    settle(desk)


def test_wrong_mapping(open_desk: Callable[[str], Desk]) -> None:
    """Every mark goes with a fivefold weight; the rule is mended and the same objects are changed, none is added."""
    desk = open_desk("wrong-mapping.md")
    wrong = '[[items]]\nmatch = "item_form"\npattern = ".*"\nform = "Работа на уроке"\nweight = 5\n\n'
    at = DEFAULT_MAPPING_TOML.index("[[items]]")
    Path("mapping.toml").write_text(DEFAULT_MAPPING_TOML[:at] + wrong + DEFAULT_MAPPING_TOML[at:], encoding="utf-8")
    fill(desk)
    before = values(desk)
    heavy = sum(1 for row in desk.world.city.standing("marks") if row["weight"] == 5)

    desk.do("gateway stop-sending --reason WHY", WHY="вес пять")
    Path("mapping.toml").write_text(DEFAULT_MAPPING_TOML, encoding="utf-8")
    desk.do("gateway check")
    desk.do("gateway sync", expect=PAUSED)
    desk.do("gateway plan show")
    sent = len(desk.world.city.machine_ledger())
    desk.do("gateway stop-sending --lift --reason WHY", WHY="исправлено")
    desk.world.clock.advance(120)
    desk.do("gateway sync", expect=(DONE, REMARKS, PERSON))
    assert "GUARD_HOLD" in desk.type(["plan", "show"]).stdout
    words = {"HASH": desk.waiting_plan(), "WHY": "исправление веса"}
    desk.admit("zavuch", "director")
    desk.do("gateway plan propose HASH --as LOGIN --reason WHY --with-held", LOGIN="zavuch", **words)
    approve = "gateway plan approve HASH --as LOGIN --reason WHY --with-held"
    desk.do(approve, LOGIN="zavuch", expect=PERSON, **words)
    desk.do(approve, LOGIN="director", **words)
    desk.do("gateway deliver")

    desk.finish()
    settle(desk)
    assert heavy > 0
    assert len(desk.world.city.machine_ledger()) > sent
    assert values(desk) == before
    assert not [row for row in desk.world.city.standing("marks") if row["weight"] == 5]


def test_wrong_child(open_desk: Callable[[str], Desk]) -> None:
    """One child's link leads to another's profile by the office's list; two persons set it right, then the other's too."""
    desk = open_desk("wrong-child.md")
    desk.admit("zavuch", "director")
    with desk.world.open() as hand, hand.gateway.store.read() as conn:
        links = load_links(conn, hand.gateway.place_id(conn), Kind.PERSON)
    (first, right), (second, wrong) = sorted(links.items())[:2]
    desk.type(["sync"], expect=PERSON)
    desk.type(["links", "drop", first, "--reason", "перепутаны для учений"])
    desk.do("gateway links drop REF --reason WHY", REF=second, WHY="не тот ребёнок")
    desk.type(["links", "confirm", first, str(wrong)], expect=PERSON)
    with desk.world.open() as hand, hand.gateway.store.write() as conn:
        place_id, now = hand.gateway.place_id(conn), hand.gateway.store.now(conn)
        confirm(conn, place_id, Kind.PERSON, first, wrong, actor="office", how="roster", evidence={}, now=now)
    fill(desk)
    assert under(desk, wrong) > 0
    desk.type(["links", "drop", first, "--reason", "сразу"], expect=PERSON)

    desk.do("gateway stop-sending --reason WHY", WHY="отметки не тому")
    desk.do("gateway verify", expect=PAUSED)
    split = {"REF": first, "NUMBER": right, "WHY": "не тот", "LOGIN": "zavuch"}
    told = desk.do("gateway links split REF --to NUMBER --reason WHY --as LOGIN", **split).stdout
    found = re.search(r"relinks approve (\d+) ([0-9a-f]{12})", told)
    assert found is not None
    number, unit = found.groups()
    desk.do("gateway incidents show N", N=1)
    desk.do("gateway relinks show N", N=number)
    approve = "gateway relinks approve N HASH --reason WHY --as LOGIN"
    desk.do(approve, N=number, HASH=unit, WHY="сам себе", LOGIN="zavuch", expect=PERSON)
    desk.do(approve, N=number, HASH=unit, WHY="проверено", LOGIN="director")
    desk.do("gateway stop-sending --lift --reason WHY", WHY="исправлено")
    desk.do("gateway deliver", expect=(DONE, REMARKS, PERSON))
    desk.do("gateway sync", expect=(DONE, REMARKS, PERSON))
    desk.do("gateway relinks")
    assert under(desk, wrong) == 0
    desk.do("gateway links confirm REF NUMBER", REF=second, NUMBER=wrong)

    desk.finish()
    with desk.world.open() as hand:
        hand.until_quiet()
        bases = hand.base_rows()
    for ref, city_id in ((first, right), (second, wrong)):
        end = ref.replace("user", "")
        mine = {row.object_key.split("/")[1] for row in bases if row.kind == "mark" and row.ref.endswith(end)}
        assert mine == {str(city_id)}
    known = {row.city_id for row in bases if row.kind == "mark"}
    assert {row["id"] for row in desk.world.city.standing("marks")} == known, "an entry that no record is behind"


def under(desk: Desk, city_id: int) -> int:
    """Marks and absences that stand under a profile."""
    tables = ("marks", "attendances")
    return sum(row["student_profile_id"] == city_id for table in tables for row in desk.world.city.standing(table))


def test_disk_full(open_desk: Callable[[str], Desk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database may not grow by a page: SQLite says the same as for a full disk."""
    desk = open_desk("disk-full.md")
    fill(desk)
    courseid = desk.world.portal.courses()[0]
    for userid, item in desk.world.portal.cells(courseid)[:20]:
        desk.world.portal.edit("set_grade", courseid=courseid, userid=userid, itemid=item["id"], grade=3)
    sent = len(desk.world.city.machine_ledger())
    connect = sqlite3.connect

    def connect_full(*args: Any, **more: Any) -> sqlite3.Connection:
        conn = connect(*args, **more)
        pages = conn.execute("PRAGMA page_count").fetchone()[0]
        conn.execute(f"PRAGMA max_page_count={max(pages, 1)}")
        return conn

    with monkeypatch.context() as full:
        full.setattr("sqlite3.dbapi2.connect", connect_full)
        full.setattr("sqlite3.connect", connect_full)
        stopped = CliRunner().invoke(app, ["sync"])
    assert stopped.exit_code != DONE
    told = desk.world.city.machine_ledger()[sent:]
    with desk.world.open() as hand:
        intended = [entry for entry in hand.actions() if entry.action == "operation.intended"]
    assert len(intended) >= len(told) + sent

    desk.do("gateway audit verify")
    desk.world.clock.advance(3600)
    desk.do("gateway sync", expect=(DONE, REMARKS, PERSON))
    desk.do("gateway backup FILE", FILE=tmp_path / "fresh.backup")

    desk.finish()
    settle(desk)


def test_restore(open_desk: Callable[[str], Desk], tmp_path: Path) -> None:
    desk = open_desk("restore.md")
    copy = tmp_path / "monday.backup"
    desk.type(["backup", str(copy)])
    fill(desk)
    ledger = desk.world.city.machine_ledger()

    desk.do("gateway backup FILE --verify", FILE=copy)
    desk.type(["restore", str(copy)], expect=PERSON)
    desk.do("gateway restore FILE --yes", FILE=copy)
    desk.do("gateway sync", expect=(DONE, REMARKS))
    desk.do("gateway plan show")
    desk.do("gateway audit verify")

    desk.finish()
    with desk.world.open() as hand:
        hand.until_quiet()
        assert len(hand.base_rows()) == len(ledger)
    assert desk.world.city.machine_ledger() == ledger


@pytest.mark.row("G2", "G3")
def test_upgrade(open_desk: Callable[[str], Desk], tmp_path: Path) -> None:
    """A database that newer code has migrated is refused by this one, and the backup made before is the way back."""
    desk = open_desk("upgrade.md")
    fill(desk)
    copy = tmp_path / "before.backup"

    desk.do("gateway backup FILE", FILE=copy)
    desk.do("gateway backup FILE --verify", FILE=copy)
    desk.do("gateway check")
    desk.do("gateway sync --dry-run")
    desk.do("gateway sync")
    file = Path(desk.world.database_url.removeprefix("sqlite:///"))
    conn = sqlite3.connect(file)
    conn.execute("UPDATE alembic_version SET version_num = '9999'")
    conn.commit()
    conn.close()
    assert "новее" in desk.type(["sync"], expect=2).stderr
    desk.do("gateway restore FILE --yes", FILE=copy)

    desk.finish()
    with desk.world.open() as hand:
        hand.until_quiet()
