"""Which profile speaks, with which token, and when a real city may be written to."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import respx
from pydantic import SecretStr

from gateway.connectors.mesh.auth import Profiles, build_headers
from gateway.domain.city import MarkIntent
from gateway.domain.errors import AccessDeniedError, ConfigurationError, ConnectorError
from gateway.settings import MeshSettings

MARKS = "/api/ej/core/teacher/v1/marks"
SESSION_ENDED = "Предыдущая сессия работы в ЭЖД завершена. Войдите в ЭЖД заново"
REAL = "https://journal.example"


def build_settings(**changes: Any) -> MeshSettings:
    profiles = {
        "teacher": {"profile_id": 1, "token": "t1", "role": "teacher"},
        "office": {"profile_id": 9, "token": "t9", "role": "school_admin"},
        "second": {"profile_id": 8, "token": "t8", "role": "school_admin"},
    }
    return MeshSettings.model_validate({"base_url": "http://127.0.0.1:9", "profiles": profiles, **changes})


def test_a_lesson_is_written_by_its_teachers_profile_else_by_a_school_admin() -> None:
    profiles = Profiles(build_settings())

    assert [profiles.choose_writer(teacher_id).name for teacher_id in (1, 2)] == ["teacher", "office"]


def test_a_paused_profile_is_passed_over() -> None:
    paused = {"teacher"}
    profiles = Profiles(build_settings(), paused=lambda name: name in paused)
    assert profiles.choose_writer(1).name == "office"

    paused.add("office")
    assert (profiles.choose_writer(1).name, profiles.choose_reader().name) == ("second", "second")

    paused.add("second")
    with pytest.raises(AccessDeniedError) as caught:
        profiles.choose_writer(1)
    assert (caught.value.reason_code, caught.value.profile) == ("AUTH", "teacher")


def test_nobody_who_may_write_is_told_apart_from_a_paused_one() -> None:
    teacher = {"teacher": {"profile_id": 1, "token": "t1", "role": "teacher"}}
    profiles = Profiles(build_settings(profiles=teacher))

    with pytest.raises(AccessDeniedError) as caught:
        profiles.choose_writer(2)

    assert caught.value.reason_code == "NO_PROFILE"
    assert profiles.choose_reader().name == "teacher"


def test_a_single_profile_needs_no_name() -> None:
    single = build_settings(profiles={}, token="t5", profile_id=5)
    (profile,) = Profiles(single).all()

    assert (profile.profile_id, profile.role, Profiles(single).token(profile)) == (5, "school_admin", "t5")


def test_a_token_comes_from_its_file_first(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" from-file \n", encoding="utf-8")
    single = build_settings(profiles={}, token="from-setting", token_file=str(file), profile_id=5)
    profiles = Profiles(single)

    assert profiles.token(profiles.all()[0]) == "from-file"


@pytest.mark.parametrize("content", [b"", b"  \n", b"canary one two", b"canary\xff\xfe", "канарейка".encode()])
def test_a_file_without_a_token_is_a_setting_to_mend(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    profiles = Profiles(build_settings(profiles={}, token_file=str(file), profile_id=5))

    with pytest.raises(ConfigurationError) as caught:
        profiles.token(profiles.all()[0])

    assert "canary" not in str(caught.value) + repr(caught.value.__cause__)


def test_a_missing_token_or_file_is_a_setting_to_mend(tmp_path: Path) -> None:
    for changes in ({}, {"token_file": str(tmp_path / "none")}):
        profiles = Profiles(build_settings(profiles={}, profile_id=5, **changes))
        with pytest.raises(ConfigurationError):
            profiles.token(profiles.all()[0])


@pytest.mark.row("A9")
def test_a_refused_token_is_read_again_once_for_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("old", encoding="utf-8")
    profiles = Profiles(build_settings(profiles={}, token_file=str(file), profile_id=5))
    (profile,) = profiles.all()
    assert profiles.token(profile) == "old"
    file.write_text("new", encoding="utf-8")
    reads: list[Path] = []
    read_text = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **more: (reads.append(path), read_text(path, **more))[1])
    renewed: list[bool] = []

    threads = [threading.Thread(target=lambda: renewed.append(profiles.renew(profile, "old"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert (renewed, len(reads), profiles.token(profile)) == ([True] * 8, 1, "new")


def test_a_file_that_is_just_being_written_leaves_the_refusal_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old", encoding="utf-8")
    profiles = Profiles(build_settings(profiles={}, token_file=str(file), profile_id=5))
    (profile,) = profiles.all()
    assert profiles.token(profile) == "old"

    file.write_text("", encoding="utf-8")
    assert (profiles.renew(profile, "old"), profiles.token(profile)) == (False, "old")
    file.write_text("new", encoding="utf-8")
    assert (profiles.renew(profile, "old"), profiles.token(profile)) == (True, "new")


def test_an_unchanged_file_is_no_reason_to_try_again(tmp_path: Path, journal: respx.MockRouter, build: Any) -> None:
    file = tmp_path / "token"
    file.write_text("same", encoding="utf-8")
    route = journal.get(path="/api/ej/core/teacher/v1/academic_years")
    route.respond(401, json={"code": 401, "message": SESSION_ENDED})
    office = {"profile_id": 9, "token_file": str(file), "role": "school_admin"}

    with pytest.raises(AccessDeniedError) as caught:
        build(profiles={"office": office}).fetch_directory(date(2026, 11, 20))

    assert (caught.value.is_session_dead, caught.value.profile, route.call_count) == (True, "office", 1)


def test_a_session_without_rights_is_not_renewed(journal: respx.MockRouter, build: Any, mark: MarkIntent) -> None:
    route = journal.post(path=MARKS)
    route.respond(401, json={"apikey": None})

    with pytest.raises(AccessDeniedError) as caught:
        build().create(mark, request_id="r1")

    assert (caught.value.is_session_dead, route.call_count) == (False, 1)


def test_every_call_is_signed_as_the_city_wants_it(journal: respx.MockRouter, build: Any, mark: MarkIntent) -> None:
    route = journal.post(path=MARKS).respond(json={"id": 5})

    build(subsystem="journalw").create(mark, request_id="r1")

    headers = route.calls.last.request.headers
    assert headers["authorization"] == "Bearer canary-teacher-token"
    assert "auth-token" not in headers
    assert {name: headers[name] for name in ("profile-id", "aid", "x-request-id")} == {
        "profile-id": "1",
        "aid": "14",
        "x-request-id": "r1",
    }
    assert (headers["x-mes-subsystem"], headers["x-mes-roleid"], headers["x-mes-hostid"]) == ("journalw", "9", "9")


def test_a_legacy_call_carries_the_bare_token_too() -> None:
    settings = build_settings()
    profile = Profiles(settings).all()[0]

    headers = build_headers(settings, profile, "t", year_id=None, request_id="r", is_legacy=True)

    assert (headers["Auth-Token"], "aid" in headers) == ("t", False)


@pytest.mark.parametrize(
    ("changes", "confirmed"),
    [
        ({}, True),
        ({"real_host": True}, True),
        ({"real_host_name": "journal.example"}, True),
        ({"real_host": True, "real_host_name": "other.example"}, True),
        ({"real_host": True, "real_host_name": "journal.example"}, False),
    ],
    ids=["nothing set", "one setting", "the other setting", "another name", "not confirmed"],
)
def test_a_real_city_is_not_written_to_without_two_settings_and_a_confirmation(
    journal: respx.MockRouter, build: Any, mark: MarkIntent, changes: dict[str, Any], confirmed: bool
) -> None:
    route = journal.route(host="journal.example", method__in=["POST", "PUT", "DELETE"]).respond(json={"id": 5})
    connector = build(base_url=REAL, confirmed=lambda _host, _profile: confirmed, **changes)

    for write in (
        lambda: connector.create(mark, request_id="r1"),
        lambda: connector.change(5, mark, request_id="r1"),
        lambda: connector.delete(5, mark, request_id="r1"),
    ):
        with pytest.raises(ConfigurationError):
            write()

    assert not route.called


def test_a_confirmed_real_city_is_written_to_by_the_confirmed_profile_only(
    journal: respx.MockRouter, build: Any, mark: MarkIntent
) -> None:
    journal.post(path=MARKS).respond(json={"id": 5})
    asked: list[tuple[str, str]] = []

    def is_confirmed(host: str, profile: str) -> bool:
        asked.append((host, profile))
        return profile == "algebra"

    connector = build(base_url=REAL, real_host=True, real_host_name="journal.example", confirmed=is_confirmed)

    assert connector.create(mark, request_id="r1").city_id == 5
    stranger = MarkIntent(**{name: getattr(mark, name) for name in mark.__struct_fields__} | {"teacher_id": 2})
    with pytest.raises(ConfigurationError):
        connector.create(stranger, request_id="r2")
    assert asked == [("journal.example", "algebra"), ("journal.example", "office")]


def test_no_secret_stands_in_a_profile_or_its_settings() -> None:
    settings = build_settings(profiles={}, token="canary-token", profile_id=5)
    profiles = Profiles(settings)

    assert "canary" not in repr(settings) + repr(profiles.all())
    assert isinstance(settings.token, SecretStr)


def test_an_error_names_who_is_to_be_told(journal: respx.MockRouter, build: Any, mark: MarkIntent) -> None:
    connector = build(paused=lambda _name: True)

    with pytest.raises(ConnectorError, match="секретарь"):
        connector.create(mark, request_id="r1")
