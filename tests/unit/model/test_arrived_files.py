"""What is known of files, as texts of the store."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.model.arrived_files import (
    NOTES,
    FileStanding,
    FileVersion,
    KnownFile,
    decode_files,
    device_key,
    encode_files,
    file_id,
    note_key,
    note_of,
    path_in,
    path_text,
)

numbers = st.integers(-(2**62), 2**62)
versions = st.builds(FileVersion, st.integers(0, 2**62), numbers, st.integers(0, 2**64 - 1))
known = st.builds(
    KnownFile, versions, st.sampled_from(FileStanding), st.integers(0, 9), st.integers(0, 9)
)
names = st.binary(min_size=1, max_size=9).filter(lambda name: not {0, 47} & set(name))


@settings(max_examples=50)
@given(st.dictionaries(names.map(os.fsdecode).map(path_text), known, max_size=4))
def test_what_is_noted_is_read_again(files: dict[str, KnownFile]) -> None:
    assert decode_files(encode_files(files)) == files


@settings(max_examples=50)
@given(names, names)
def test_each_path_has_a_text_of_its_own(one: bytes, other: bytes) -> None:
    first, second = path_text(os.fsdecode(one)), path_text(os.fsdecode(other))
    assert (first == second) == (one == other)
    first.encode()
    assert 0 <= note_of(first) < NOTES


def test_notes_of_functions_are_apart() -> None:
    keys = {note_key(name, number) for name in ("a", "1/a") for number in range(NOTES)}
    assert len(keys | {device_key("a"), device_key("1/a")}) == 2 * NOTES + 2


def test_what_is_no_note() -> None:
    for text in ("", "[]", '{"a": 1}', '{"a": [[1, 2, 3], "x", 0, 0]}'):
        assert decode_files(text) is None


def test_a_file_that_changes_has_another_id() -> None:
    version = FileVersion(1, 2, 3)
    ids = {
        file_id("a", version),
        file_id("b", version),
        file_id("a", FileVersion(2, 2, 3)),
        file_id("a", FileVersion(1, 3, 3)),
        file_id("a", FileVersion(1, 2, 4)),
    }
    assert len(ids) == 5
    assert file_id("a", version) in ids


def test_one_that_ran_has_seen_the_end_of_its_host() -> None:
    ran = KnownFile(FileVersion(1, 2, 3)).now(FileStanding.RUNNING)
    taken_up = ran.taken_up()
    assert (taken_up.standing, taken_up.deaths) == (FileStanding.WAITING, 1)
    assert taken_up.taken_up() == taken_up
    failed = taken_up.failed(FileStanding.FAILED)
    assert (failed.failures, failed.deaths, failed.taken_up()) == (1, 1, failed)


def test_the_path_of_what_was_put_aside_is_in_its_content() -> None:
    assert path_in(b'{"path":"a/b.jpg","size":3}') == "a/b.jpg"
    for content in (b"{", b"[1]", b'{"path":7}', b'{"path":"\xff"}'):
        assert path_in(content) is None
