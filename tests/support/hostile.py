"""What attackers send: shapes of paths, headers, links, bodies and whole requests.

Counts are those of the review that these come from. All of it is data; tests send it.
"""

import base64
import random
from collections.abc import Iterator
from typing import Final

from tenuto.http.payloads import MOUNT

CANARY: Final = "canary"
_INSTANCE: Final = f"{MOUNT}/instances/{CANARY}"
_ADMIN: Final = f"/admin/instances/{CANARY}"
_DAY_ZERO: Final = "?createdTimeFrom=2020-01-01"

OPERATIONS: Final = (
    *(("GET", path) for path in (_INSTANCE, f"{MOUNT}/instances", _ADMIN, "/admin/instances")),
    *(("GET", path) for path in (f"{_ADMIN}/history", "/admin/dead-letters", "/admin/functions")),
    *(("GET", path) for path in ("/admin/info", "/admin/events", f"{_ADMIN}/events", "/metrics")),
    ("POST", f"{MOUNT}/orchestrators/work"),
    ("POST", f"{MOUNT}/orchestrators/work/made-up"),
    *(("POST", f"{_INSTANCE}/{word}") for word in ("terminate", "suspend", "resume", "restart")),
    ("POST", f"{_INSTANCE}/raiseEvent/go"),
    ("POST", f"{_INSTANCE}/fail"),
    ("DELETE", f"{_INSTANCE}?force=true"),
    ("DELETE", f"{MOUNT}/instances{_DAY_ZERO}&force=true"),
    ("POST", "/admin/instances"),
    ("POST", "/admin/dead-letters/acknowledge"),
    ("GET", f"{_ADMIN}/steps/0"),
    *(("POST", f"{_ADMIN}/{word}") for word in ("terminate", "suspend", "resume", "fail")),
    ("POST", f"{_ADMIN}/raise-event"),
    ("DELETE", f"{_ADMIN}?force=true"),
    ("POST", f"{_INSTANCE}/rewind"),
    ("GET", f"{MOUNT}/entities"),
    ("POST", f"{MOUNT}/entities/a/b"),
    ("DELETE", f"{MOUNT}/entities/a/b"),
    ("POST", f"{MOUNT}/makeprimary"),
    ("POST", "/api/guarded"),
    ("POST", "/api/admin-only"),
)
"""All that needs a key."""


def path_shapes(path: str) -> Iterator[str]:
    """The same path as a lax server might read it: 24."""
    plain, mark, query = path.partition("?")
    tail = mark + query
    first, rest = plain[1], plain[2:]
    yield from (plain + tail, plain.upper() + tail, f"/{plain}{tail}", f"//{plain}{tail}")
    yield from (
        f"{plain}/{tail}",
        f"{plain}//{tail}",
        f"/.{plain}{tail}",
        f"/healthz/..{plain}{tail}",
    )
    yield from (
        f"{plain};a=b{tail}",
        f"{plain}%00{tail}",
        f"{plain}%20{tail}",
        f"{plain}.json{tail}",
    )
    yield from (f"/%{ord(first):02x}{rest}{tail}", f"/%25{ord(first):02x}{rest}{tail}")
    yield plain.replace("/", "%2f")[0:] + tail
    yield plain.replace("/", "\\") + tail
    yield f"/api/..{plain}{tail}"
    yield f"/callbacks/..{plain}{tail}"
    yield f"http://localhost{plain}{tail}"
    yield f"http://localhost@evil.example{plain}{tail}"
    yield f"{plain}#{tail}"
    yield f"{plain}?{query}&code=&code="
    yield f"{plain}?{query}&code[]=x&CODE=null"
    yield f"{plain}?{query}&_method=GET&access_token=admin"


_CHANGING: Final = {"x-tenuto-session": "1"}

HEADER_SHAPES: Final[tuple[dict[str, str], ...]] = (
    {"X-HTTP-Method-Override": "GET"},
    {"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"},
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1;host=localhost;proto=https"},
    {"Host": "localhost", "X-Forwarded-Host": "localhost"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer null"},
    {"Authorization": f"Basic {base64.b64encode(b'admin:admin').decode()}"},
    {"x-functions-key": ""},
    {"x-functions-key": "undefined"},
    {"x-functions-key": "true", "X-Admin": "1", "Cookie": "role=admin; code=admin"},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    *(
        {"Cookie": f"tenuto-session={text}", "Sec-Fetch-Site": "same-origin", **_CHANGING}
        for text in ("", "admin", "d1.a.ffffffffff.a", "d1...", 'd1.%00.-1."', "d1." * 80)
    ),
)
"""With the shapes of paths, 42 for each operation."""

METHODS: Final = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"),
    *("LOCK", "MKCOL", "MOVE", "COPY", "SEARCH", "REPORT", "PURGE", "LINK", "get", "POSTS", "G"),
    "M-SEARCH",
)


NOT_THE_PAGE: Final[tuple[dict[str, str], ...]] = (
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Site": "Same-Origin"},
    {"Sec-Fetch-Site": "same-origin, cross-site"},
    {"Sec-Fetch-Site": "", "Origin": "http://localhost"},
    {"Origin": "null"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:1"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"},
    {"Origin": "", "Referer": "http://evil.example/http://localhost/"},
    {"Referer": "http://localhost@evil.example/"},
    {"Referer": "http://localhost\\@evil.example/"},
)
"""What browsers, and who copies them, say of requests that the server's own page has not sent."""


def tampered_sessions(session: str, chance: random.Random) -> Iterator[str]:
    """A session with something else in each place."""
    for place, own in enumerate(session):
        letter = chance.choice([one for one in "Aa0-_.Zz9" if one != own])
        yield session[:place] + letter + session[place + 1 :]
    for cut in range(1, 31):
        yield session[:-cut]
    yield from (f"{session}=", f"{session}.", f'"{session}"', session.upper(), f"l1{session[2:]}")


def tampered(link: str, other: str, chance: random.Random) -> Iterator[str]:
    """A link's token with something else in each place: 105 for each link."""
    head, code = link.split("code=")
    version, opens, until, signature = code.split(".")
    for letter in "ropaOR0":
        if letter != opens:
            yield f"{head}code={version}.{letter}.{until}.{signature}"
    for moment in (f"{int(until, 16) + 1:x}", "f" * 12, "0", "-1", f"0{until}", f"0x{until}", ""):
        yield f"{head}code={version}.{opens}.{moment}.{signature}"
    for place in range(len(signature)):
        letter = chance.choice([one for one in "Aa0-_Zz9" if one != signature[place]])
        changed = signature[:place] + letter + signature[place + 1 :]
        yield f"{head}code={version}.{opens}.{until}.{changed}"
    for cut in range(1, 31):
        yield f"{head}code={code[:-cut]}"
    for text in (f"{code}=", f"{code}.", f"{code}%00", f"%20{code}", code.upper(), f"l2{code[2:]}"):
        yield f"{head}code={text}"
    yield link.replace(f"/{CANARY}", f"/{other}")
    yield link.replace(f"/{CANARY}", f"/{CANARY}%20")
    yield link.replace(f"/{CANARY}", f"/{CANARY}/../{other}")
    yield link.replace(f"/{CANARY}", f"/./{other}")
    for name in ("Code", "cod%65e", "kode"):
        yield link.replace("code=", f"{name}x=")
    yield f"{head}code={code}&code={code}"
    yield f"{head}code={signature}"
    yield f"{head}code={version}.{opens}.{until}."
    yield f"{head}code=..."
    yield f"{head}code=l1.a.ffffffff.{'A' * 43}"
    yield f"{head}code=" + "." * 1_000


def protocol_shapes() -> Iterator[bytes]:
    """Requests that two parsers read in two ways: 42."""
    post = f"POST {MOUNT}/orchestrators/work HTTP/1.1\r\n".encode()
    inner = f"POST {_INSTANCE}/terminate HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    host = b"Host: localhost\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n"
    for lengths in (b"5\r\nContent-Length: 0", b"+5", b"-1", b"0x5", b"5, 5", b"5 ", b" 5", b"",
                    b"99999999999999999999", b"5;6", b"1e1", b"\x005", b"05"):  # fmt: skip
        yield post + host + b"Content-Length: " + lengths + b"\r\n\r\n12345" + inner
    for coding in (b"chunked", b" chunked", b"Chunked", b"chunked, identity", b"identity, chunked",
                   b"xchunked", b"chunked\x0b", b"\tchunked", b"chunked\r\n chunked", b"gzip",
                   b"chunked;q=1", b'"chunked"'):  # fmt: skip
        yield (
            post
            + host
            + b"Transfer-Encoding:"
            + coding
            + b"\r\nContent-Length: 4\r\n\r\n"
            + (b"0\r\n\r\n" + inner)
        )
    for size in (b"0x1", b"-1", b"1 ", b" 1", b"G", b"ffffffffffffffff1", b"1;a=\n", b"1\n", b""):
        yield post + host + chunked + b"\r\n" + size + b"\r\n1\r\n0\r\n\r\n" + inner
    yield post + b"Host: localhost\r\nHost: evil.example\r\n\r\n"
    yield post + host + b" folded: header\r\n\r\n" + inner
    yield post + host + b"Content-Length : 4\r\n\r\n" + inner
    yield post + host + b"Header\r\n\r\n" + inner
    yield post + host + b"X: a\rContent-Length: 4\r\n\r\n" + inner
    yield post + host + b"X: a\nTransfer-Encoding: chunked\r\n\r\n" + inner
    yield post.replace(b" HTTP/1.1", b" HTTP/1.1 HTTP/1.1") + host + b"\r\n"
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + inner


def mutated(request: bytes, chance: random.Random) -> bytes:
    """A request with a few bytes changed, doubled, cut or moved."""
    text = bytearray(request)
    for _ in range(chance.randrange(1, 5)):
        place = chance.randrange(len(text))
        match chance.randrange(5):
            case 0:
                text[place] = chance.randrange(256)
            case 1:
                text[place:place] = bytes([chance.choice(b"\r\n\x00 :,;/\\\xff%")]) * chance.choice(
                    [1, 2, 50]
                )
            case 2:
                del text[place : place + chance.randrange(1, 9)]
            case 3:
                text += text[place : place + 40]
            case _:
                end = min(len(text), place + 12)
                text[place:end] = bytes(reversed(text[place:end]))
        text = text or bytearray(b"G")
    return bytes(text)


SLOW_SHAPES: Final = (
    b"",
    b"G",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
    b"GET /healthz HTTP/1.1\r\nX-A: " + b"a" * 1_000,
    b"POST /callbacks/a/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
    b"POST /callbacks/a/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
    b"POST /admin/instances HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n[[[",
    b"POST /callbacks/a/b HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n",
    b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
)
"""10: each is sent, and then nothing more."""

BODIES: Final = (
    *(b"", b" ", b"{", b"}", b"[", b"null", b"nul", b"tru", b"1e999", b"-", b"01", b"1.", b"NaN"),
    *(b'"', b'"\\', b'"\\u', b'"\\ud800"', b'"\xff"', b'"\x00"', b"'a'", b"\xef\xbb\xbf1", b"1 2"),
    *(b"[" * 100_000, b"[" * 101 + b"]" * 101, b'{"a":' * 5_000, b"[" + b"[]," * 300_000 + b"[]]"),
    *(b'{"a":1,}', b'{"a":1 "b":2}', b'{"a"}', b"{1:2}", b'{"a":1,"a":2}', b"[1,,2]", b"//\n1"),
    *(
        b"9" * 5_000,
        b"-" * 5_000,
        b"0." + b"0" * 5_000,
        b"1e" + b"9" * 500,
        b'"' + b"x" * 6_000_000,
    ),
    *(b'{"__proto__": {"a": 1}}', b'{"$ref": "#"}', b'{"!!python/object": 1}', b"<xml/>", b"a=b&c"),
    *(b"\x80\x04\x95.", b"\x1f\x8b\x08", b"\xff\xfe1\x00", b'{"name": {}}', b'{"name": "work"}x'),
    *(b'{"name": "work", "executionId": "x"}', b'{"name": "work", "scheduledAt": -1}'),
    *(b'{"name": "work", "tags": {"a": 1}}', b'{"name": "work", "nothing": 1}'),
)

IDS: Final = (
    *(".", "..", "%2e%2e", " ", "%20a", "a%20", "%00", "a%00b", "%0d%0a", "a%0aHost:%20b", "%7f"),
    *("%e2%80%8b", "%e2%80%ae", "%c2%a0", "%ff", "%c0%af", "%ed%a0%80", "%f0%9f%92%a9", "@a@b"),
    *(
        "a%2fb",
        "a%5cb",
        "a%23b",
        "a%3fb",
        "%252e",
        "a" * 257,
        "%c3%9f" * 257,
        "a" * 5_000,
        "'",
        '"',
    ),
    *(
        "'%20OR%201=1--",
        "%22;DROP%20TABLE%20instance",
        "<script>",
        "%3Cscript%3E",
        "${7*7}",
        "{{7}}",
    ),
    *("%s%n", "$(id)", "`id`", "|id", ";id", "a;b", "a:b", "-", "--help", "~", "nul", "CON", "*"),
    *("a%09b", "a%0bb", "\u00fc", "%EF%BB%BF", "a%E2%80%A8b", "%F3%A0%81%81", "1e999", "-1", "0"),
    *("None", "null", "undefined", "[object Object]".replace(" ", "%20")),
)

LOG_INJECTIONS: Final = tuple(
    f"/nothing/{one}"
    for one in (
        *(
            "%0d%0aforged",
            "%0aforged",
            "%0dforged",
            "%1b[31mforged",
            "%00forged",
            "%e2%80%a8forged",
        ),
        *("%c2%85forged", "%0bforged", "%0cforged", "%e2%80%aeforged", "%7fforged", "%08forged"),
        *("%22,%22level%22:%22forged", "%25s%25n{forged}"),
    )
)

PRIVATE: Final = (
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "0"),
    *("0.0.0.0", "127.127.127.127", "localhost", "LOCALHOST", "localhost.", "a.localhost", "[::1]"),
    *("[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    *(
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fe80::1%25lo]",
        "[fc00::1]",
        "[fd00::1]",
    ),
    *(
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.168.255.255",
    ),
    *("169.254.169.254", "169.254.170.2", "[fd00:ec2::254]", "100.64.0.1", "100.127.255.255"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "192.0.2.1", "192.0.0.1", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255", "[ff02::1]", "[2001:db8::1]", "[100::1]"),
    *("0x0a000001", "012.0.0.1", "167772161", "0xc0.0xa8.0.1", "3232235521", "0300.0250.0.1"),
    *("127.0.0.1:80", "user@127.0.0.1", "user:pass@10.0.0.1", "127.0.0.1:65535", "1.0.0.127@[::1]"),
    *("[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::a00:1]", "[2002:a00:1::]"),
    *("[2002:c0a8:1::1]", "[::10.0.0.1]", "[2001:0:a00:1::]"),
)
"""67 ways to say an address that is not for the public."""
