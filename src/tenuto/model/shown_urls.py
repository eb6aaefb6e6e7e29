"""URLs as people may see them: on a screen, in a log, in an error. Never with a password."""

import re
from typing import Final

_HIDDEN: Final = "hidden"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/*")
_ASKED: Final = re.compile(r"([?&][^=&#]*password[^=&#]*=)[^&#]*", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"((?:^|\s)\w*(?:password|passwd)\w*\s*=\s*)('(?:[^'\\]|\\.)*'|.*?)(?=\s+\w+\s*=|\s*$)",
    re.IGNORECASE | re.DOTALL,
)
"""As libpq's texts name it: ``host=db password=… dbname=orders``, perhaps in quotes."""


def shown_url(url: str) -> str:
    """A URL without its password, also one that is mistyped: nothing of it needs to be right.

    A password may hold what it should have escaped, so all up to the last ``@`` counts as its
    account: of an odd URL too much is left out rather than too little.

    Args:
        url: Of a store or a host. That of a file has no account and stays as it is.
    """
    url = without_named_password(url)
    scheme = _SCHEME.match(url)
    head = "" if scheme is None else scheme.group()
    if head in {"sqlite:///", "sqlite:////"}:
        return url
    account, at, place = url[len(head) :].rpartition("@")
    user = account.partition(":")[0]
    return _ASKED.sub(rf"\g<1>{_HIDDEN}", f"{head}{user}{at}{place}")


def without_named_password(text: str, instead: str = _HIDDEN) -> str:
    """A text without what it names a password, as libpq's texts do: up to the next name."""
    return _NAMED.sub(rf"\g<1>{instead}", text)
