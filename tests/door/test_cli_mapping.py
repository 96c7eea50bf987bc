"""gateway mapping: a version from a draft to what counts, as a deputy head types it."""

from __future__ import annotations

from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from tests.door.test_cli_verbs import School, school

__all__ = ["school"]

WHY = ("--reason", "решение методсовета")
PASSWORD = "correct horse 7\n"


def test_a_version_is_drafted_tested_activated_and_taken_back(school: School) -> None:
    school.run("pull")
    school.run("plan", expect=4)
    file = school.folder / "mapping.toml"
    file.write_text(DEFAULT_MAPPING_TOML, encoding="utf-8")
    first = school.json("mapping", "draft", *WHY)["version"]
    file.write_text(DEFAULT_MAPPING_TOML.replace('form = "Тест"', 'form = "Тест"\nweight = 9'), encoding="utf-8")
    checked = school.run("check").stdout
    second = school.json("mapping", "draft", *WHY)["version"]
    shown = school.run("mapping", "preview", "2", "--different", "--sample", "1").stdout
    school.run("mapping", "activate", "2", *WHY, expect=4)
    for login, role in (("deputy", "deputy_head"), ("director", "director")):
        school.run("users", "add", login, "--role", role, "--password-stdin", typed=PASSWORD)
    alone = school.run("mapping", "propose", "2", *WHY).stdout
    school.run("mapping", "propose", "2", *WHY, expect=4)
    tested = school.json("mapping", "backtest", "2")["version"]["backtest"]
    cases = school.json("mapping", "show", "2", "--outcome", "changed")["cases"]
    words = ("mapping", "activate", "2", "--from", "new", *WHY)
    by_machine = school.run(*words, expect=4)
    unvouched = school.run(*words, "--as", "director", "--password-stdin", typed=PASSWORD, expect=4)
    school.run("mapping", "propose", "2", *WHY, "--as", "deputy", "--password-stdin", typed=PASSWORD)
    own = school.run(*words, "--as", "deputy", "--password-stdin", typed=PASSWORD, expect=4)
    told = school.run(*words, "--as", "director", "--password-stdin", typed=PASSWORD).stdout
    listed = school.run("mapping", "list").stdout
    text = school.run("mapping", "show", "2", "--toml").stdout
    back = school.json("mapping", "rollback", *WHY)["activated"]

    refused = school.run("mapping", "rollback", *WHY, expect=4)
    named = school.json("mapping", "rollback", "--to", "2", *WHY)["activated"]

    assert "--as" in alone
    assert all("SECOND_PERSON" in one.stderr for one in (by_machine, unvouched, own))
    assert "gateway mapping propose 2 --as" in " ".join(unvouched.stderr.split())
    assert "--to" in refused.output
    assert (named["number"], named["former"]) == (2, 1)
    assert (first["number"], first["state"], second["number"], second["state"]) == (1, "active", 2, "draft")
    assert "сам не действует" in " ".join(checked.split())
    assert "вес 9" in shown
    assert "значение" in shown
    assert tested["changed"] == len(cases) > 0
    assert tested["newly_refused"] == 0
    assert "остаётся как есть" in " ".join(told.split())
    assert "действует" in listed
    assert "weight = 9" in text
    assert (back["number"], back["former"]) == (1, 2)
    assert school.json("mapping", "correction") == {"correction": None}
    assert school.json("audit", "verify")["chain_ok"] is True
    school.run("mapping", "show", "7", expect=2)
    school.run("mapping", "activate", "2", "--from", "new", "--since", "2026-11-01", *WHY, expect=2)
