"""gateway discrepancies: lists, groups, cards and choices as a curator types them."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.door.test_cli_verbs import School, school

__all__ = ["school"]

DIFFER = ("--type", "fields_differ")


def test_a_curator_settles_what_a_person_changed_in_the_city(school: School) -> None:
    school.run("pull")
    planned = school.json("plan", expect=4)
    school.run("plan", "approve", planned["plan_hash"], "--reason", "первое заполнение")
    school.run("deliver")
    marks = httpx.get(f"{school.city_url}/__sandbox/state", trust_env=False).json()["marks"]
    changed = [row for row in marks if row["name"] != "2"][:3]
    for row in changed:
        order = {"op": "change", "kind": "mark", "id": row["id"], "value": "2"}
        httpx.post(f"{school.city_url}/__sandbox/human", json=order, trust_env=False).raise_for_status()
    differing = school.run("sync", expect=3)
    assert "gateway discrepancies" in " ".join(differing.stdout.split())

    listed = school.json("discrepancies", *DIFFER)
    page = school.json("discrepancies", *DIFFER, "--limit", "2")
    groups = school.json("discrepancies", "groups", *DIFFER)["groups"]
    number = listed["discrepancies"][0]["id"]
    card = school.run("discrepancies", "show", str(number)).stdout

    assert listed["by_owner"]["teacher"] == {"open": 3, "overdue": 0}
    assert listed["by_owner"]["curator"]["open"] > 0  # pupils whom nobody has linked yet
    assert [row["id"] for row in page["discrepancies"]] == [row["id"] for row in listed["discrepancies"]][:2]
    assert sum(group["count"] for group in groups) == 3
    assert "значения разные" in school.run("discrepancies", *DIFFER).stdout
    shown = school.run("discrepancies", "groups", *DIFFER).stdout
    for group in groups:
        assert re.fullmatch(
            r"\d+[А-Я], .+ · значения разные: отметка \(значение\) · Переданную запись изменили .+", group["words"]
        ), "a curator chooses by what it is"
        assert f"--pattern '{group['pattern']}'" in shown, "what is typed back is not broken"
    assert "согласовано" in card
    told = school.json("discrepancies", "show", str(number))
    assert told["refusal"] is None
    assert all(
        told["sides"][name]
        for name in ("ours_read_at", "ours_changed_at", "base_at", "theirs_read_at", "theirs_changed_at")
    )
    assert len(told["sides"]["theirs_by"].split()) == 2, "whose word the city's is"
    assert told["sides"]["theirs_by"] in card
    assert told["sides"]["ours_by"]["как пришло"] == "портал"
    for words in ("прочитано", "изменено", "чьё", "Срок: ", "Ход: учитель"):
        assert words in card
    assert "после передачи правили только в городе" in card
    _choose(school, number, groups)


def _choose(school: School, number: int, groups: list[dict[str, Any]]) -> None:
    preview = school.json("discrepancies", "choose", "ours", str(number), "--reason", "ошибка", "--preview")
    assert [line["id"] for line in preview["lines"]] == [number]
    seen = school.run("discrepancies", "choose", "ours", str(number), "--reason", "ошибка", "--preview").stdout
    assert preview["lines"][0]["pupil"].split()[0] in seen, "who chooses sees whose it is and what stands where"
    assert "у нас" in seen
    school.run("discrepancies", "choose", "own", str(number), "--reason", "x", expect=4)
    school.run("discrepancies", "choose", "ours", "--reason", "ни номера, ни группы", expect=2)
    school.run("discrepancies", "choose", "ours", str(number), "99999", "--reason", "ошибка в городе", expect=3)
    again = school.json("discrepancies", "choose", "theirs", str(number), "--reason", "ещё раз", expect=3)
    assert again["excluded"] == [{"id": number, "why": "chosen"}], "nobody has changed anything: it is settled already"
    for group in groups:
        words = ("choose", "theirs", "--pattern", group["pattern"], "--reason", "ведут там", "--except", str(number))
        school.run("discrepancies", *words)
    school.run("sync")

    assert (preview["taken"], preview["is_preview"]) == ([number], True)
    assert school.json("discrepancies", *DIFFER)["discrepancies"] == []
    steps = school.json("discrepancies", "show", str(number))["steps"]
    assert [step["step"] for step in steps] == ["opened", "chosen", "proven"]
    assert steps[1]["note"] == "ошибка в городе"
    disputed = school.json("discrepancies", "dispute", str(number), "--reason", "всё-таки нет")
    assert disputed == {"reopened": [number]}
    school.run("discrepancies", "assign", "curator.1", str(number), "--reason", "её класс", expect=2)
    school.run("users", "add", "curator.1", "--no-password")
    school.run("discrepancies", "assign", "curator.1", str(number), "--reason", "её класс", expect=4)
    school.run("users", "role", "curator.1", "deputy_head")
    school.run("discrepancies", "assign", "curator.1", str(number), "--reason", "её класс")
    assert school.json("discrepancies", *DIFFER)["discrepancies"][0]["assignee"] == "account:1"
    words = ("wait", "city_helpdesk", str(number), "--until", "2026-12-10", "--reason", "обращение подано")
    assert school.json("discrepancies", *words) == {"waiting": [number]}
    school.run("discrepancies", *words, expect=3)
    assert school.json("discrepancies", "--state", "waiting_outside")["discrepancies"][0]["id"] == number
    _tasks(school)
    school.run("discrepancies", "show", "99999", expect=4)
    precedents = school.json("discrepancies", "precedents")
    assert precedents == {"offers": [], "rules": []}  # three choices are fewer than five
    assert "правило предлагается с 5" in " ".join(school.run("discrepancies", "precedents").stdout.split())
    words = ("make", "theirs", "--pattern", groups[0]["pattern"], "--until", "2026-12-20", "--reason", "рано")
    school.run("discrepancies", "precedents", *words, expect=4)
    school.run("discrepancies", "precedents", "backtest", "1", expect=2)
    assert school.json("audit", "verify")["chain_ok"] is True


def _tasks(school: School) -> None:
    """What was settled as «theirs» is to be corrected at the portal, until the portal says so."""
    tasks = school.json("tasks")["tasks"]
    assert len(tasks) == 2
    assert {(one["wanted"]["отметка"], one["choice"], one["state"]) for one in tasks} == {("2", "theirs", "open")}
    assert all(one["portal"]["отметка"] != "2" for one in tasks)
    assert {one["reason"] for one in tasks} == {"ведут там"}
    assert "gateway tasks done" in school.run("tasks").stdout
    first = tasks[0]["number"]
    assert school.json("tasks", "done", str(first)) == {"said_done": first}
    assert {one["number"]: one["state"] for one in school.json("tasks")["tasks"]}[first] == "said_done"
    school.run("tasks", "done", "99999", expect=2)
