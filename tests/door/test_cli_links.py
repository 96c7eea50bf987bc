"""gateway links, relinks and incidents as a curator and a deputy head type them."""

from __future__ import annotations

import json

from tests.door.test_cli_verbs import School, school

__all__ = ["school"]


def test_a_wrong_link_is_set_right_from_the_command_line(school: School) -> None:
    school.run("pull")
    planned = school.json("plan", expect=4)
    school.run("plan", "approve", planned["plan_hash"], "--reason", "первое заполнение")
    school.run("deliver")
    listed = school.json("links", "list")
    waiting = school.json("links", "candidates")["waiting"]
    some = next(one for one in waiting if one["offers"])
    ref, number = some["ref"], str(some["offers"][0]["city_id"])

    assert "фамилия совпадает" in school.run("links", "candidates").stdout
    school.run("links", "reject", ref, number, "--reason", "другой ребёнок")
    card = school.json("links", "show", ref)
    assert [(str(one["city_id"]), one["why"]) for one in card["refused"]] == [(number, "другой ребёнок")]
    assert "Отвергнут" in school.run("links", "show", ref).stdout

    wrong = next(iter(sorted(listed["links"])))
    made = school.json("links", "split", wrong, "--reason", "перепутан с тёзкой")
    unit = str(made["number"])
    assert made["counts"]["delete"] > 0
    assert school.json("relinks", "show", unit)["line"]["state"] == "proposed"
    assert "ждёт утверждения" in school.run("relinks").stdout
    refused = school.run("relinks", "approve", unit, made["hash"], "--reason", "сам себе", expect=4)
    assert "SECOND_PERSON" in refused.stderr

    incident = str(made["incident"])
    out = school.folder / "sheet.json"
    told = school.run("incidents", "show", incident, "--out", str(out)).stdout
    assert "Уведомить до (24 ч)" in told
    assert len(json.loads(out.read_text(encoding="utf-8"))["shown"]) == made["counts"]["delete"]
    assert out.stat().st_mode & 0o077 == 0
    school.run("incidents", "found", incident, "--text", "раньше уведомления", expect=4)
    assert school.json("incidents", "notified", incident, "--text", "уведомление подано") == {"noted": True}
    assert school.json("incidents", "found", incident, "--text", "результаты поданы") == {"noted": True}
    assert school.json("incidents")["incidents"][0]["state"] == "closed"
    school.run("relinks", "withdraw", unit, "--reason", "ошиблись")
    assert school.json("relinks")["relinks"][0]["state"] == "withdrawn"
    school.run("relinks", "approve", unit, made["hash"], "--reason", "поздно", expect=4)
    assert school.json("audit", "verify")["chain_ok"] is True
