"""The pages behind links: what is asked, what was answered, and why it is too late. Pure.

Plain pages that work without script, by keyboard, at any width, in light and dark: labels and
groups have names, what is wrong stands beside its field and is read out first. All that people have
written is escaped, and the policy of the page allows nothing but its own style.
"""

import base64
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import Final

from starlette.responses import Response

from tenuto.model.form import ONLY, Choice, Field, FieldKind, Form
from tenuto.model.links import QuestionLink
from tenuto.model.timing import Microseconds, to_datetime

_STYLE: Final = """
:root { color-scheme: light dark; --text: #1b1b1f; --quiet: #55565c; --ground: #fff;
  --line: #74767d; --accent: #1d4ed8; --on: #fff; --error: #b3121d;
  font: 1.0625rem/1.5 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --text: #ececf1; --quiet: #b4b5bd; --ground: #17181c;
  --line: #8b8d96; --accent: #8fb0ff; --on: #0b1020; --error: #ff9a9e; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--text); background: var(--ground); overflow-wrap: anywhere; }
main { max-width: 34rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.0625rem; margin: 0; }
.words { white-space: pre-wrap; }
.quiet, .hint { color: var(--quiet); }
.hint, .wrong { margin: .1rem 0 .3rem; }
.wrong { color: var(--error); font-weight: 600; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
legend, label { font-weight: 600; padding: 0; }
.field { margin: 0 0 1.4rem; }
.one { display: flex; gap: .6rem; align-items: center; padding: .3rem 0; }
.one label { font-weight: 400; }
input[type=radio], input[type=checkbox] { width: 1.4rem; height: 1.4rem; margin: 0; flex: none;
  accent-color: var(--accent); }
.text { display: block; width: 100%; font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--line); border-radius: .4rem; padding: .55rem .6rem; }
.text[aria-invalid=true] { border: 2px solid var(--error); }
.buttons { display: flex; flex-wrap: wrap; gap: .75rem; }
button { font: inherit; font-weight: 600; min-height: 2.9rem; padding: .6rem 1.6rem;
  border: 2px solid var(--accent); border-radius: .4rem; background: var(--accent);
  color: var(--on); cursor: pointer; max-width: 100%; }
.choices button { background: transparent; color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.problem { border: 2px solid var(--error); border-radius: .4rem; padding: .8rem 1rem;
  margin: 0 0 1.4rem; }
.problem ul { margin: .3rem 0 0; padding-left: 1.2rem; }
a { color: inherit; }
dl { margin: 1rem 0; }
dt { font-weight: 600; }
dd { margin: 0 0 .6rem; white-space: pre-wrap; }
"""

_STYLE_HASH: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
"""Of every answer behind a link: the address is a secret, and is not to be given on."""

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
_FEW_CHOICES: Final = 7
_GENERAL: Final = ""
"""The key of what is wrong with no single field."""


def page(status: int, title: str, body: str, *, is_wrong: bool = False) -> Response:
    """A whole page.

    Args:
        status: Of the answer.
        title: What it is about, as text.
        body: HTML.
        is_wrong: Whether something is wrong, which the title says first.
    """
    words = escape(title)
    begin = "Error: " if is_wrong else ""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex, nofollow">'
        f"<title>{begin}{words}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{words}</h1>{body}</main></body></html>"
    )
    return Response(text, status, HEADERS, media_type="text/html")


def confirmation(name: str, wrong: str = "") -> Response:
    """The page of a webhook: a button, because scanners open links.

    Args:
        name: Of the event that it raises.
        wrong: Why what was sent before does not fit.
    """
    body = (
        f"{_problem({_GENERAL: wrong}, ()) if wrong else ''}"
        "<p>Press the button to send your answer. It works once.</p>"
        '<form method="post"><button type="submit">Confirm</button></form>'
    )
    return page(422 if wrong else 200, name, body, is_wrong=bool(wrong))


def question(
    link: QuestionLink,
    entered: Mapping[str, Sequence[str]] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    """The page that asks.

    Args:
        link: What is asked.
        entered: What was filled in before, by field; None: nothing yet.
        errors: What was wrong with it, by field; with an empty key what is about no single one.
    """
    wrong = errors or {}
    form = link.form
    parts = [_problem(wrong, form.fields) if wrong else "", _words(link.text)]
    if link.expires_at is not None:
        parts.append(f'<p class="quiet">Please answer by {when(link.expires_at)}.</p>')
    if form.buttons:
        fields = _buttons(form)
    else:
        first_wrong = next((one.name for one in form.fields if one.name in wrong), None)
        fields = "".join(
            _field(one, entered, wrong.get(one.name), has_focus=one.name == first_wrong)
            for one in form.fields
        )
        fields += '<div class="buttons"><button type="submit">Send</button></div>'
    parts.append(f'<form method="post" novalidate accept-charset="utf-8">{fields}</form>')
    return page(422 if wrong else 200, link.title, "".join(parts), is_wrong=bool(wrong))


def answered(link: QuestionLink, answer: str, status: int, at: Microseconds | None) -> Response:
    """The page that says what was answered.

    Args:
        link: What was asked.
        answer: As JSON text.
        status: 202: just now; 200: before; 409: before, and another answer came too late.
        at: When; None: just now.
    """
    words = link.form.in_words(answer)
    if link.form.is_single:
        text = f": {words[0][1]}"
        listed = ""
    else:
        text = ""
        listed = "".join(f"<dt>{escape(one)}</dt><dd>{escape(two)}</dd>" for one, two in words)
        listed = f"<dl>{listed}</dl>"
    by = f" by {link.by}" if link.by else ""
    moment = "" if at is None else f" on {when(at)}"
    said = f"<p><strong>{escape(f'Answered{text}')}</strong>{escape(by)}{moment}</p>{listed}"
    before = {
        202: '<p role="status">Thank you. Your answer has been recorded.</p>',
        409: '<p role="alert">This was answered before; your answer has not been taken.</p>',
    }
    return page(status, link.title, before.get(status, "") + said)


def too_late(link: QuestionLink, now: Microseconds) -> Response:
    """The page of a question that nobody can answer any more."""
    if link.expires_at is not None and link.expires_at <= now:
        why = f"This could be answered until {when(link.expires_at)}. It is too late now."
    else:
        why = "This is not asked any more. Nothing has been changed."
    return page(410, link.title, f"<p>{why}</p>")


def closed(title: str) -> Response:
    """The page of a webhook that is closed."""
    words = "It was used, has expired, or its process has ended. Ask whoever sent it for a new one."
    return page(410, title, f"<p>This link is closed.</p><p>{words}</p>")


def unknown() -> Response:
    """The page of an address that no link has."""
    words = "Look whether the whole address was copied, or ask whoever sent it."
    return page(404, "There is nothing at this address", f"<p>{words}</p>")


def when(moment: Microseconds) -> str:
    """A moment for people anywhere: ``3 May 2026 14:00 UTC``."""
    at = to_datetime(moment)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year} {at:%H:%M} UTC"


# --- pieces ---------------------------------------------------------------------------------------


def _words(text: str) -> str:
    return f'<p class="words">{escape(text)}</p>' if text else ""


def _problem(errors: Mapping[str, str], fields: Sequence[Field]) -> str:
    labels = {one.name: one.label for one in fields}
    rows = []
    for name, text in errors.items():
        if name in labels:
            rows.append(
                f'<li><a href="#f-{_id(name)}">{escape(f"{labels[name]}: {text}")}</a></li>'
            )
        else:
            rows.append(f"<li>{escape(text)}</li>")
    heading = '<h2 id="problem">Your answer has not been taken</h2>'
    return (
        f'<div class="problem" role="alert" aria-labelledby="problem">{heading}'
        f"<ul>{''.join(rows)}</ul></div>"
    )


def _buttons(form: Form) -> str:
    send = f'type="submit" name="{ONLY}"'
    buttons = "".join(
        f'<button {send} value="{escape(one.key)}">{escape(one.label)}</button>'
        for one in form.buttons
    )
    return (
        f'<fieldset class="choices" aria-label="Your answer"><div class="buttons">{buttons}</div>'
        "</fieldset>"
    )


def _field(
    field: Field,
    entered: Mapping[str, Sequence[str]] | None,
    wrong: str | None,
    *,
    has_focus: bool,
) -> str:
    name = _id(field.name)
    texts = None if entered is None else entered.get(field.name, ())
    value = field.prefilled if texts is None else (texts[-1] if texts else "")
    notes, described = "", []
    if field.hint:
        notes += f'<p class="hint" id="h-{name}">{escape(field.hint)}</p>'
        described.append(f"h-{name}")
    if wrong is not None:
        notes += f'<p class="wrong" id="e-{name}">{escape(wrong)}</p>'
        described.append(f"e-{name}")
    about = f' aria-describedby="{" ".join(described)}"' if described else ""
    about += ' aria-invalid="true"' if wrong is not None else ""
    is_needed = not field.may_be_empty and not _is_check(field)
    about += ' aria-required="true"' if is_needed else ""
    focus = " autofocus" if has_focus else ""
    label = escape(field.label + (" (optional)" if field.may_be_empty else ""))
    send = f'name="{escape(field.name)}" autocomplete="off"'
    if _is_check(field):
        checked = " checked" if value else ""
        box = f'<input type="checkbox" id="f-{name}" {send} value="true"{about}{checked}{focus}>'
        row = f'<div class="one">{box}<label for="f-{name}">{label}</label></div>'
        return f'<div class="field">{row}{notes}</div>'
    if field.kind is FieldKind.CHOICE and len(field.choices) <= _FEW_CHOICES:
        rows = "".join(
            _radio(one, number, name, send, value, focus if number == 0 else "")
            for number, one in enumerate(field.choices)
        )
        role = f'<fieldset class="field" role="radiogroup"{about}>'
        return f"{role}<legend>{label}</legend>{notes}{rows}</fieldset>"
    head = f'<div class="field"><label for="f-{name}">{label}</label>{notes}'
    if field.kind is FieldKind.CHOICE:
        options = "".join(
            f'<option value="{escape(one.key)}"{" selected" if one.key == value else ""}>'
            f"{escape(one.label)}</option>"
            for one in field.choices
        )
        empty = '<option value="">Choose…</option>'
        return (
            f'{head}<select class="text" id="f-{name}" {send}{about}{focus}>{empty}{options}'
            "</select></div>"
        )
    kind = _TYPES.get(field.kind, 'type="text"')
    return (
        f'{head}<input class="text" id="f-{name}" {kind} {send} value="{escape(value)}"'
        f"{about}{focus}></div>"
    )


def _radio(one: Choice, number: int, name: str, send: str, value: str, focus: str) -> str:
    # The first has the field's own id, so that what is wrong leads to it.
    own = f"f-{name}" if number == 0 else f"f-{name}-{number}"
    checked = " checked" if one.key == value else ""
    button = f'<input type="radio" id="{own}" {send} value="{escape(one.key)}"{checked}{focus}>'
    return f'<div class="one">{button}<label for="{own}">{escape(one.label)}</label></div>'


_TYPES: Final[Mapping[FieldKind, str]] = {
    FieldKind.INTEGER: 'type="text" inputmode="numeric"',
    FieldKind.NUMBER: 'type="text" inputmode="decimal"',
    FieldKind.DECIMAL: 'type="text" inputmode="decimal"',
    FieldKind.DATE: 'type="date"',
    FieldKind.TIME: 'type="time" step="any"',
    FieldKind.MOMENT: 'type="datetime-local" step="any"',
}


def _is_check(field: Field) -> bool:
    return field.kind is FieldKind.CHECK


def _id(name: str) -> str:
    """A field's name as a piece of an id."""
    return "".join(
        char if char.isascii() and char.isalnum() else f"-{ord(char):x}-" for char in name
    )
