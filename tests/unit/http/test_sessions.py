"""What stands for a key: who knows it, how long, and that nobody can make one."""

import pytest

from tenuto.http import sessions
from tenuto.http.options import AccessKey, Role
from tenuto.http.sessions import Sessions
from tenuto.model.timing import MICROSECONDS

READER = AccessKey(key="read-key-0123456789", role=Role.READ)
ADMIN = AccessKey(key="admin-key-0123456789", role=Role.ADMIN)
OF_A_FUNCTION = AccessKey(key="function-key-0123456789", functions=("one",))
SECONDS = 60


class Times:
    seconds = 1_000

    def __call__(self) -> int:
        return self.seconds * MICROSECONDS


@pytest.fixture
def times() -> Times:
    return Times()


def of(times: Times, *keys: AccessKey, secret: str = "secret") -> Sessions:
    return Sessions(keys or (READER, ADMIN, OF_A_FUNCTION), secret, SECONDS, times)


def begun(sessions: Sessions, key: AccessKey = ADMIN) -> str:
    text = sessions.begin(key.key)
    assert text is not None
    return text


@pytest.mark.parametrize("key", [READER, ADMIN])
def test_a_session_has_the_role_of_its_key_until_its_end(times: Times, key: AccessKey) -> None:
    known = of(times)
    text = begun(known, key)
    session = known.read(text)
    assert session is not None
    assert (session.role, session.expires_at_seconds) == (key.role, 1_060)
    times.seconds = 1_059
    assert session.is_open()
    assert known.read(text) is not None
    times.seconds = 1_060
    assert not session.is_open()
    assert known.read(text) is None


@pytest.mark.parametrize("key", ["", "wrong-key-0123456789", OF_A_FUNCTION.key, "kéy\udcff"])
def test_what_is_no_key_with_a_role_begins_none(times: Times, key: str) -> None:
    assert of(times).begin(key) is None


def test_no_text_of_a_key_stands_in_a_session_and_no_two_are_the_same(times: Times) -> None:
    known = of(times)
    texts = {begun(known) for _ in range(20)}
    assert len(texts) == 20
    assert not [one for one in texts if ADMIN.key in one or "admin" in one]
    assert max(map(len, texts)) < 100


def test_every_host_of_a_hub_that_has_the_key_knows_it(times: Times) -> None:
    text = begun(of(times))
    assert of(times, ADMIN).read(text) is not None
    others = AccessKey(key="another-key-0123456789", role=Role.ADMIN)
    assert of(times, others, ADMIN).read(text) is not None
    assert of(times, secret="of another hub").read(text) is None


def test_it_dies_with_its_key_and_with_the_role_of_that(times: Times) -> None:
    text = begun(of(times))
    assert of(times, READER).read(text) is None
    assert of(times, AccessKey(key=ADMIN.key, role=Role.READ)).read(text) is None


def test_who_holds_a_key_can_make_no_session_of_another(times: Times) -> None:
    known = of(times)
    mine, other = begun(known, READER).split("."), begun(known, ADMIN).split(".")
    for place in range(4):
        mixed = [*mine[:place], other[place], *mine[place + 1 :]]
        if mixed != mine:
            assert known.read(".".join(mixed)) is None


def test_one_that_was_tampered_with_opens_nothing(times: Times) -> None:
    known = of(times)
    text = begun(known)
    prefix, name, end, signature = text.split(".")
    wrong = [
        "",
        "...",
        text[:-1],
        f"{text}A",
        f"{text} ",
        text.upper(),
        f"l1.{name}.{end}.{signature}",
        f"{prefix}.{name}.0{end}.{signature}",
        f"{prefix}.{name}.{int(end, 16) + 1:x}.{signature}",
        f"{prefix}.{name}.-1.{signature}",
        f"{prefix}.{name}.one.{signature}",
        f"{prefix}.{name}.{end}.{signature}.x",
        f"{prefix}.\udcff.{end}.{signature}",
        f"{prefix}.{'n' * 70_000}.{end}.{signature}",
    ]
    assert [one for one in wrong if known.read(one) is not None] == []


def test_one_that_was_ended_is_void_and_the_others_go_on(times: Times) -> None:
    known = of(times)
    one, other = begun(known), begun(known)
    session = known.read(one)
    assert session is not None
    known.end(one)
    known.end(one)
    known.end("nothing")
    assert known.read(one) is None
    assert not session.is_open()
    assert known.read(other) is not None


def test_what_was_ended_is_forgotten_once_it_would_have_ended_anyhow(
    times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_ENDED", 3)
    known = of(times)
    for _ in range(3):
        known.end(begun(known))
    times.seconds += SECONDS
    going, ended = begun(known), begun(known)
    known.end(ended)
    assert known.read(going) is not None
    assert known.read(ended) is None


def test_more_than_can_be_remembered_never_open_again(
    times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_ENDED", 3)
    known = of(times)
    of_the_other = begun(known, READER)
    ended = [begun(known) for _ in range(5)]
    for one in ended:
        known.end(one)
    assert [one for one in ended if known.read(one) is not None] == []
    assert known.read(of_the_other) is not None, "who has another key notices nothing"
    times.seconds += 1
    assert known.read(begun(known)) is not None
