"""Who may call a function behind HTTP: everybody, holders of its own keys, or those with a role."""

import hmac
from collections.abc import Collection
from difflib import get_close_matches

from tenuto.http.access import Access, sent_key
from tenuto.http.options import HttpSettings, Role
from tenuto.http.routing import Call
from tenuto.model.errors import ForbiddenError, SettingsError


class FunctionKeys:
    """Checks keys for functions.

    Args:
        settings: The keys.
        access: Checks those with roles.
    """

    def __init__(self, settings: HttpSettings, access: Access) -> None:
        self._keys = settings.keys
        self._access = access

    def check(self, name: str, level: str, call: Call) -> None:
        """See that a caller may call a function, and remember what else that caller may do.

        Args:
            name: Of the function.
            level: ``anonymous``, ``function`` (a key of its own, or who may operate), ``admin``.
            call: The request.

        Raises:
            UnauthorizedError: there are keys, and the caller sent none of them.
            ForbiddenError: the key is for something else.
        """
        if level == "admin":
            call.role = self._access.check(call, Role.ADMIN)
        elif level == "function" and not self._has_own_key(name, call):
            call.role = self._access.check(call, Role.OPERATE)

    def _has_own_key(self, name: str, call: Call) -> bool:
        sent = (sent_key(call) or "").encode()
        found = None
        for key in self._keys.values():
            if key.functions and hmac.compare_digest(key.key.encode(), sent):
                found = key
        if found is None:
            return False
        if name not in found.functions:
            raise ForbiddenError(f"this key does not open the function {name}")
        return True


def check_key_names(settings: HttpSettings, known: Collection[str]) -> None:
    """See that keys are for functions that are there.

    Raises:
        SettingsError: one is not, naming it and those that there are.
    """
    for key_name, key in settings.keys.items():
        for name in key.functions:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise SettingsError(
                    f"setting http.keys: key {key_name!r} is for the HTTP function {name!r}, which "
                    f"is not there; {hint}there are: {', '.join(known) or 'none'}"
                )
