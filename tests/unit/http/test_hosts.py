"""What a ``Host`` may be: what whoever gets it in an address can read, in whatever language."""

import pytest

from tenuto import SettingsError
from tenuto.http.options import HttpSettings, is_host

HOSTS = (
    *("localhost", "localhost:80", "localhost:65535", "a_b.c~d", "example.com.", "1.2.3.4:80"),
    *("[::1]", "[::1]:7071", "[::ffff:1.2.3.4]", "xn--bcher-kva.example", "127.1", "a1.b2"),
)
NO_HOSTS = (
    *("", ":80", "localhost:65536", "localhost:99999", "[1.2.3]", "[::1]:70000", "[:::]", "[]"),
    *("1.2.3.400", "1.2.3.4.5", "a.1", "a.1.", "a.0x1", "xn--a", "XN--a.example", "a b"),
)


@pytest.mark.parametrize("text", HOSTS)
def test_a_host_is_a_name_or_an_address(text: str) -> None:
    assert is_host(text)
    assert HttpSettings(base_url=f"https://{text}/below").address == f"https://{text}/below"


@pytest.mark.parametrize("text", NO_HOSTS)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert not is_host(text)
    with pytest.raises(SettingsError, match=r"http\.base_url"):
        HttpSettings(base_url=f"https://{text}/below")
    with pytest.raises(SettingsError, match=r"http\.cors_origins"):
        HttpSettings(cors_origins=(f"https://{text}",))
