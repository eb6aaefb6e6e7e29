"""URLs as people may see them: on a screen, in a log, in an error. Never with a password."""

import re
from typing import Final

_HIDDEN: Final = "hidden"
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/*")
_ASKED: Final = re.compile(r"[?&]([^=&#?]*+)=")
_ASKED_END: Final = re.compile(r"[&#]|\Z")
_NAMED: Final = re.compile(r"(?<!\S)(\w++)\s*+=\s*+")
"""As libpq's texts name it: ``host=db password=… dbname=orders``, perhaps in quotes."""
_IN_QUOTES: Final = re.compile(r"'(?:[^'\\]|\\.)*+'", re.DOTALL)
_SECRETS: Final = ("password", "passwd")

# Logs say what strangers have written: each of these goes over a text once, however it is made.


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
    return without_asked_password(f"{head}{user}{at}{place}")


def without_query(url: str, instead: str = _HIDDEN) -> str:
    """An address without its account and its query, which may open what it leads to."""
    place, asked, _ = shown_url(url).partition("?")
    return f"{place}?{instead}" if asked else place


def without_asked_password(text: str, instead: str = _HIDDEN) -> str:
    """A text without the passwords in the queries of its URLs."""
    parts, kept = [], 0
    for found in _ASKED.finditer(text):
        if found.start() < kept or "password" not in found[1].lower():
            continue
        end = _ASKED_END.search(text, found.end())
        parts += [text[kept : found.end()], instead]
        kept = len(text) if end is None else end.start()
    return "".join([*parts, text[kept:]])


def without_named_password(text: str, instead: str = _HIDDEN) -> str:
    """A text without what it names a password, as libpq's texts do: up to the next name."""
    names = list(_NAMED.finditer(text))
    ends = [one.start() for one in names[1:]] + [len(text)]
    parts, kept, are_closed = [], 0, True
    for found, end in zip(names, ends, strict=False):
        if found.start() < kept or not any(one in found[1].lower() for one in _SECRETS):
            continue
        quoted = _IN_QUOTES.match(text, found.end()) if are_closed else None
        if quoted is None and text.startswith("'", found.end()):
            are_closed = False  # nor is any one further on: they are not looked for again
        parts += [text[kept : found.end()], instead]
        value = text[found.end() : end]
        kept = found.end() + len(value.rstrip()) if quoted is None else quoted.end()
    return "".join([*parts, text[kept:]])
