"""A seal is known again by the user who made it, and by nobody else."""

import stat
from pathlib import Path

from impasto.storage.seal import is_sealed, seal


def test_a_seal_fits_the_bytes_that_it_was_made_for_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    made = seal(b"outputs")
    assert is_sealed(b"outputs", made)
    assert not is_sealed(b"outputs!", made)
    assert not any(is_sealed(b"outputs", other) for other in ("", "0" * 64, made[:-1], "\ud800"))


def test_another_users_key_makes_another_seal_and_the_key_is_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "one"))
    made = seal(b"outputs")
    (key,) = (path for path in Path(tmp_path / "one").rglob("*") if path.is_file())
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    assert not is_sealed(b"outputs", made)  # which makes no key
    assert not (tmp_path / "other").exists()
    assert seal(b"outputs") != made


def test_a_key_that_cant_be_kept_or_is_damaged_seals_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null/nowhere")
    assert seal(b"outputs") == ""
    assert not is_sealed(b"outputs", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    made = seal(b"outputs")
    (key,) = (path for path in tmp_path.rglob("*") if path.is_file())
    key.write_bytes(b"")
    assert seal(b"outputs") == ""
    assert not is_sealed(b"outputs", made)
