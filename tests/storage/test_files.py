"""Files are old or new, never torn, and leave nothing behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from impasto.storage import files
from impasto.storage.files import (
    move_into_place,
    quoted,
    read_small,
    reason,
    remove_drafts,
    same_place,
    write_atomically,
)


def test_the_module_brings_no_heavy_library_along():
    code = "import sys, impasto.storage.files; print({'torch', 'PIL', 'numpy'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_write_that_fails_midway_leaves_the_old_file_and_nothing_else(tmp_path, overwrite, fault):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"half")
        raise fault

    with pytest.raises(fault):
        write_atomically(path, fail, overwrite=overwrite)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_when_syncing_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_drafts_that_a_killed_process_left_are_removed_and_no_others(tmp_path, monkeypatch):
    path, other, link = tmp_path / ("a" * 250 + ".bin"), tmp_path / "b.bin", tmp_path / "link"
    link.symlink_to(path)
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        killed.setattr(Path, "replace", lambda *_: None)
        for target in (path, link, other):
            write_atomically(target, lambda file: file.write(b"half"))
    assert len(list(tmp_path.glob(".impasto-*.tmp"))) == 3
    remove_drafts(link)
    assert len(list(tmp_path.glob(".impasto-*.tmp"))) == 1
    remove_drafts(other)
    remove_drafts(tmp_path / "missing" / "c.bin")
    assert list(tmp_path.iterdir()) == [link]


def test_an_existing_file_is_not_overwritten_even_if_it_appears_late(tmp_path):
    path = tmp_path / "a.bin"

    def write_and_be_overtaken(file):
        file.write(b"mine")
        path.write_bytes(b"theirs")

    with pytest.raises(FileExistsError):
        write_atomically(path, write_and_be_overtaken, overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_with_and_without_hard_links_it_writes_a_new_file_and_refuses_an_old_one(tmp_path, monkeypatch, links):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "a.bin"
    write_atomically(path, lambda file: file.write(b"one"), overwrite=False)
    with pytest.raises(FileExistsError):
        write_atomically(path, lambda file: file.write(b"two"), overwrite=False)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_finished_draft_moves_to_its_name_and_is_gone(tmp_path, overwrite):
    draft, path = tmp_path / "draft", tmp_path / "a.bin"
    draft.write_bytes(b"new")
    move_into_place(draft, path, overwrite=overwrite)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_synced_is_no_fault(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # as on Windows; Path.open doesn't call it
    write_atomically(tmp_path / "a.bin", lambda file: file.write(b"new"))
    assert (tmp_path / "a.bin").read_bytes() == b"new"


def test_permissions_follow_the_umask_and_links_stay_links(tmp_path):
    target, link = tmp_path / "target", tmp_path / "latest"
    link.symlink_to(target)
    old = os.umask(0o022)
    try:
        write_atomically(link, lambda file: file.write(b"one"), overwrite=False)
    finally:
        os.umask(old)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    write_atomically(link, lambda file: file.write(b"two"))
    assert link.is_symlink()
    assert target.read_bytes() == b"two"


def test_what_has_no_place_raises_os_errors_only(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    for path in (tmp_path / "missing" / "a", tmp_path / "folder", tmp_path / "loop" / "a"):
        with pytest.raises(OSError, match=r"\w"):
            write_atomically(path, lambda file: file.write(b"new"))
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "loop", lambda file: file.write(b"new"), overwrite=False)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "loop"]


class InvalidDataError(ValueError):
    """As FFmpeg's errors are in PyAV: not all of them are OSError."""

    strerror = "Invalid data found"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "a.png"), "No space left on device"),
        (OSError("gone."), "gone"),
        (ValueError("embedded\n  null\tbyte."), "embedded null byte"),
        (KeyError(), "KeyError"),
        (InvalidDataError("[Errno 1094995529] Invalid data found: 'a.mp4'"), "Invalid data found"),
    ],
)
def test_a_reason_is_a_few_words_on_one_line(error, words):
    assert reason(error) == words


def test_a_quoted_path_stays_on_one_line():
    assert quoted(Path("line\nbreak.png")) == r"'line\nbreak.png'"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o777])
def test_what_is_replaced_hands_on_its_permissions(tmp_path, mode):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.rights
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_and_its_owner_where_that_may_be(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    try:
        os.chown(path, 12, 34)
    except OSError:
        pytest.skip("this root has no other users")
    write_atomically(path, lambda file: file.write(b"new"))
    assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)


def test_a_new_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    write_atomically(tmp_path / "new", lambda file: file.write(b"new"))
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_one_place_is_known_again_by_any_path(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "there.png").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "d")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "d/a.png")
    (tmp_path / "hard.png").hardlink_to(tmp_path / "there.png")
    monkeypatch.chdir(tmp_path)
    same = [("a.png", "d/../a.png"), ("a.png", "none/../a.png"), ("d/a.png", "link/a.png"), ("there.png", "hard.png")]
    same += [("d/a.png", "dangling.png"), ("a.png", str(tmp_path / "a.png")), ("there.png", "./d/../there.png")]
    assert all(same_place(Path(one), Path(other)) for one, other in same)
    others = [("a.png", "b.png"), ("a.png", "d/a.png"), ("a.png", "a\0.png")]
    assert not any(same_place(Path(one), Path(other)) for one, other in others)
    assert same_place(Path("Å.png"), Path("å.PNG")) == (tmp_path / "D").exists()  # where capitals don't count
    monkeypatch.setattr(files, "_folds_case", lambda folder: True)
    assert same_place(Path("A.png"), Path("a.PNG"))
    assert same_place(Path("A\u030a.png"), Path("\u00c5.png"))
    assert not same_place(Path("A.png"), Path("b.PNG"))


def test_a_small_file_is_read_and_a_pipe_or_a_large_one_is_not(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_small(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_small(tmp_path / "a", 4)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a device or a pipe"):
        read_small(tmp_path / "pipe", 5)
    with pytest.raises(IsADirectoryError):
        read_small(tmp_path, 5)
