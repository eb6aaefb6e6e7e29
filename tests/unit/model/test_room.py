import resource

import pytest

from tenuto.model import room
from tenuto.model.codec import decode_turn
from tenuto.model.payload.decoding import decoder

ENDLESS = 1 << 46


class Endless(str):
    """A text of which nobody has so much memory."""

    __slots__ = ()

    def __len__(self) -> int:
        return ENDLESS


@pytest.mark.parametrize("is_limited", [True, False])
def test_memory_is_asked_for_where_it_is_limited(
    monkeypatch: pytest.MonkeyPatch, is_limited: bool
) -> None:
    monkeypatch.setattr(room, "_is_limited", lambda: is_limited)
    if is_limited:
        with pytest.raises(MemoryError):
            room.make_room(ENDLESS)
    else:
        room.make_room(ENDLESS)
    room.make_room(room.LONG + 1)
    room.make_room(5)


def test_a_process_is_limited_by_its_address_space(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = dict.fromkeys(room._LIMITS, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda limit: (limits[limit], -1))
    assert not room._is_limited()
    limits[resource.RLIMIT_DATA] = 1 << 30
    assert room._is_limited()


def test_decoders_say_that_there_is_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else msgspec ends the process."""
    monkeypatch.setattr(room, "_is_limited", lambda: True)
    with pytest.raises(MemoryError):
        decoder(str)(Endless('"x"'))
    with pytest.raises(MemoryError):
        decode_turn(Endless("[]"))
    assert decode_turn(b"[]" + b" " * room.LONG) == []
    assert decoder(str)('"x"' + " " * room.LONG) == "x"
