"""Identifiers: fresh ones, and the partition that an id belongs to."""

import os
import re
import sys
import unicodedata

import pytest

from tenuto.model import ids
from tenuto.model.errors import InputError, InvalidInstanceIdError, PayloadError
from tenuto.model.ids import (
    InstanceId,
    address_of,
    check_address,
    check_hub_name,
    check_instance_id,
    child_instance_id,
    derived_from,
    new_execution_id,
    new_instance_id,
    new_message_id,
    partition_of,
    reserved_id,
    split_address,
)

NOW = 1_764_288_000_123_456


def test_fresh_ids_are_32_hexadecimal_digits_and_never_the_same() -> None:
    made = [*(new_instance_id(NOW) for _ in range(600)), *(new_execution_id(0) for _ in range(600))]
    assert len(set(made)) == 1200
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)
    assert re.fullmatch("client-[0-9a-f]{32}", new_message_id(NOW))


def test_fresh_ids_are_ordered_by_time() -> None:
    """ENGINE rule 35: whichever millisecond comes later, on whichever machine."""
    moments = range(NOW, NOW + 300_000, 1_000)
    for make in (new_instance_id, new_execution_id, new_message_id):
        made = [make(moment) for moment in moments]
        assert made == sorted(made)
    assert int(new_instance_id(NOW)[:12], 16) == NOW // 1000
    assert len(new_instance_id(253_402_300_799_999_999)) == 32, "the last moment of the year 9999"


def test_what_a_fresh_id_adds_to_the_time_cannot_be_guessed() -> None:
    """80 bits, other ones for each id of one moment; every digit takes every value."""
    tails = {new_instance_id(NOW)[12:] for _ in range(2_000)}
    assert len(tails) == 2_000
    for position in range(20):
        assert {tail[position] for tail in tails} == set("0123456789abcdef")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_gives_out_other_ids() -> None:
    new_instance_id(NOW)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, new_instance_id(NOW).encode())
        finally:
            os._exit(0)  # whatever happens: no second run of the tests goes on here
    os.waitpid(child, 0)
    told = os.read(reading, 32).decode()
    os.close(reading)
    os.close(writing)
    assert told not in {new_instance_id(NOW) for _ in range(600)}


def test_a_system_without_fork_makes_ids_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    assert len(ids._FreshIds().take(NOW)) == 32


@pytest.mark.parametrize(
    ("text", "of_4", "of_16"),
    [
        ("", 1, 5),
        ("a", 0, 12),
        ("abc", 3, 11),
        ("myinstance", 0, 0),
        ("@counter@k1", 3, 11),
        ("8b6ab9f0c2514f6b9f3e2a6b7c1d0e2f", 2, 14),
        ("Straße", 0, 8),
    ],
)
def test_ids_keep_the_partition_of_the_durable_task_framework(
    text: str, of_4: int, of_16: int
) -> None:
    instance_id = InstanceId(text)
    assert partition_of(instance_id, 4) == of_4
    assert partition_of(instance_id, 16) == of_16
    assert partition_of(instance_id, 1) == 0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (5, "it is no string, but of the type int"),
        ("", "it has 0 characters"),
        ("x" * 257, "it has 257 characters"),
        ("@counter", "reserved for entities"),
        ("a/b", "it contains '/'"),
        ("a\x00b", "it contains '\\\\x00'"),
        ("\ud800", "half of a surrogate pair"),
        (".", "it would stand for a folder"),
        ("..", "it would stand for a folder"),
        (" ", "it begins or ends with a blank"),
        (" a", "it begins or ends with a blank"),
        ("a ", "it begins or ends with a blank"),
    ],
)
def test_bad_input_is_refused_whole_instance_ids(given: object, reason: str) -> None:
    with pytest.raises(InvalidInstanceIdError, match=re.escape(reason).replace("\\\\\\\\", "\\\\")):
        check_instance_id(given)


def test_what_durable_functions_allows_is_allowed() -> None:
    for text in ("x", "x" * 256, "it's 100%_*", "naïve ☂", "a:0001"):
        assert check_instance_id(text) == text


@pytest.mark.parametrize("number", [0, 1, 0xFFFF, 0x10000, 0xFFFFFFFF])
def test_the_id_of_a_child_says_whose_it_is(number: int) -> None:
    execution = new_execution_id(NOW)
    assert derived_from(child_instance_id(execution, number)) == (execution, number)


@pytest.mark.parametrize(
    "end", ["", ":", ":001", ":000G", ":000A", ":123456789", ":0001\n", "x:0001"]
)
def test_other_ids_are_nobodys_child(end: str) -> None:
    other = InstanceId(new_execution_id(NOW) + end)
    assert derived_from(other) is None


def test_the_error_of_a_reserved_id_says_why() -> None:
    assert "given out by Tenuto" in str(reserved_id(InstanceId("x")))


def test_an_id_holds_nothing_that_cannot_be_seen() -> None:
    """S13: characters of format (Cf) and blanks (Z*), by the tables of this Python at least."""
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        kind = unicodedata.category(character)
        if kind in {"Cf", "Zs", "Zl", "Zp"} and character != " ":
            with pytest.raises(InvalidInstanceIdError):
                check_instance_id(f"a{character}b")
    for fine in (
        "a b",
        ".a",
        "a.",
        "...",
        "-",
        "\u00fcber",
        "\U0001f3b5",
        "it's 7",
        "\u4f60\u597d",
    ):
        assert check_instance_id(fine) == fine


def test_an_address_names_a_linked_hub_and_an_instance_there() -> None:
    address = check_address("hub/order 7")
    assert address == address_of("hub", "order 7")
    assert split_address(address) == ("hub", "order 7")
    assert check_address("order 7") == "order 7"
    assert split_address("order 7") is None


@pytest.mark.parametrize("bad", ["", "-a", "a b", "a.b", "ä", "x" * 65, 5, None])
def test_names_of_hubs_that_are_none_are_refused(bad: object) -> None:
    with pytest.raises(InputError, match="cannot be the name of a linked hub"):
        check_hub_name(bad)


def test_a_name_of_a_hub_that_cannot_be_stored_is_refused() -> None:
    with pytest.raises(PayloadError, match="surrogate"):
        check_hub_name("half \ud800")


@pytest.mark.parametrize("bad", ["hub/", "hub/a/b", "hub/@x", 5, ""])
def test_addresses_that_are_none_are_refused(bad: object) -> None:
    with pytest.raises(InvalidInstanceIdError):
        check_address(bad)


def test_who_gives_an_address_where_an_id_belongs_is_told_so() -> None:
    with pytest.raises(
        InvalidInstanceIdError, match="can be started and told events, nothing else"
    ):
        check_instance_id("hub/x")
    with pytest.raises(InvalidInstanceIdError, match=r"are not allowed$"):
        check_instance_id("a b/x")
