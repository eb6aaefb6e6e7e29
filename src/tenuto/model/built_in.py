"""The names of Tenuto's own activities: those in history, and those that people are told.

The first stand in stored histories, and never change. Machines are told them; people never are.
"""

from typing import Final

HTTP_ACTIVITY: Final = "BuiltIn::HttpActivity"
"""The reserved activity that makes one request."""

WEBHOOK_ACTIVITY: Final = "BuiltIn::WebhookActivity"
"""The reserved activity that makes the token and the address of a webhook."""

_PLAIN: Final = {HTTP_ACTIVITY: "HTTP call", WEBHOOK_ACTIVITY: "webhook"}
_ARTICLES: Final = {HTTP_ACTIVITY: "an", WEBHOOK_ACTIVITY: "a"}


def plain_name(name: str) -> str:
    """What people are told an activity is called: its name, or what Tenuto's own does."""
    return _PLAIN.get(name, name)


def activity_words(name: str) -> str:
    """An activity within a sentence: ``activity 'book'``, ``an HTTP call``."""
    article = _ARTICLES.get(name)
    return f"activity {name!r}" if article is None else f"{article} {_PLAIN[name]}"
