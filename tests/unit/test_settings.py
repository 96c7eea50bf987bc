"""Settings: where a value comes from, what is refused, and that a secret shows nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.errors import ConfigurationError
from gateway.settings import SECRETS_DIR, load_settings


def _config(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _config(tmp_path, '[portal]\nname = "a"\nbase_url = "http://portal"\n')
    monkeypatch.setenv("GATEWAY_PORTAL__NAME", "b")

    settings = load_settings(path)

    assert settings.portal.name == "b"
    assert settings.portal.base_url == "http://portal"


def test_a_secret_file_gives_a_token_that_the_file_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _config(tmp_path, '[portal]\nname = "a"\n')
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "portal__token").write_text("geheim-123\n", encoding="utf-8")
    monkeypatch.setenv(SECRETS_DIR, str(secrets))

    settings = load_settings(path)

    assert settings.portal.token is not None
    assert settings.portal.token.get_secret_value() == "geheim-123"
    assert settings.portal.name == "a"
    assert "geheim" not in repr(settings)


def test_a_missing_secrets_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _config(tmp_path, "")
    monkeypatch.setenv(SECRETS_DIR, str(tmp_path / "nowhere"))

    with pytest.raises(ConfigurationError, match=SECRETS_DIR):
        load_settings(path)


def test_a_wrong_value_is_named_by_its_setting_and_not_shown(tmp_path: Path) -> None:
    path = _config(tmp_path, '[mesh]\nrate_per_s = "geheim"\n')

    with pytest.raises(ConfigurationError) as caught:
        load_settings(path)

    assert "mesh.rate_per_s" in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"portal\.nmae"):
        load_settings(_config(tmp_path, '[portal]\nnmae = "a"\n'))


def test_one_profile_or_several_but_not_both(tmp_path: Path) -> None:
    text = "[mesh]\nprofile_id = 1\n[mesh.profiles.a]\nprofile_id = 2\n"

    with pytest.raises(ConfigurationError, match="mesh"):
        load_settings(_config(tmp_path, text))


def test_a_file_saved_in_cp1251_is_said_and_a_mark_of_utf_8_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes('[portal]\nname = "школа"\n'.encode("cp1251"))

    with pytest.raises(ConfigurationError, match=r"gateway\.toml не в UTF-8: сохраните в UTF-8"):
        load_settings(path)

    path.write_bytes('[portal]\nname = "school"\n'.encode("utf-8-sig"))
    assert load_settings(path).portal.name == "school"
