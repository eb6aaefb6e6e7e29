"""The statements of the doors, in the form that each driver takes.

In the templates the hub's schema is called ``hub`` and arguments have names, as everywhere; each
driver counts or names arguments in its own way, and has its own sign that must be doubled.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

_HUB: Final = re.compile(r"\bhub\.(?=\w)")
_ARGUMENT: Final = re.compile(r"(?<!:):([a-z_]+)\b")


class Statement(Struct, frozen=True):
    """One statement, with its arguments.

    Attributes:
        template: Its text.
        schema: What stands for ``hub``, as SQL writes it.
        values: By the names of the arguments.
    """

    template: str
    schema: str
    values: dict[str, Any]

    def named(self, form: str = ":{}", escaped: Callable[[str], str] = str) -> str:
        """The text with arguments that have names, such as ``%(name)s``."""
        text = _ARGUMENT.sub(lambda found: form.format(found[1]), self.template)
        return self._of_hub(text, escaped(self.schema))

    def numbered(self) -> tuple[str, Sequence[Any]]:
        """The text with ``$1``, ``$2`` and so on, and the values in that order."""
        names = list(dict.fromkeys(_ARGUMENT.findall(self.template)))
        text = _ARGUMENT.sub(lambda found: f"${names.index(found[1]) + 1}", self.template)
        return self._of_hub(text, self.schema), [self.values[name] for name in names]

    @staticmethod
    def _of_hub(text: str, schema: str) -> str:
        return _HUB.sub(lambda _: f"{schema}.", text)
