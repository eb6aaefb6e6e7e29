"""When two names of events are one: small and capital letters make no difference.

The rule is that of the original (.NET's ordinal comparison without case): each character by itself
is put in capitals, without any language's own ideas, and none becomes one of ASCII that was not.

Host and worker must agree on it: a worker says which waits an event ends, and the host takes its
word. Their interpreters know Unicode in different versions, which give capitals to more and more
letters. So it holds for scripts whose letters all have theirs since long: Latin, Greek, Cyrillic,
Armenian and full-width Latin. The same rule is in the workers' ``waits.py`` and ``waits.js``; a
test compares all three for every character that there is.
"""

from typing import Final

_SCRIPTS: Final = (("\u0080", "\u058f"), ("\u1e00", "\u1fff"), ("\uff00", "\uffef"))


def event_key(name: str) -> str:
    """The same text for all names that are one."""
    return name.upper() if name.isascii() else "".join(map(_capital, name))


def _capital(character: str) -> str:
    found = character.upper()
    if character < "\u0080":
        return found
    is_known = len(found) == 1 and _is_of_scripts(character) and _is_of_scripts(found)
    return found if is_known else character


def _is_of_scripts(character: str) -> bool:
    return any(first <= character <= last for first, last in _SCRIPTS)
