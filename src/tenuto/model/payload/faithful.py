"""From a value to JSON text from which the annotated type gives the value back, or a refusal.

Owns the promise that no value changes on its way through the store: a value whose types prove it is
written at once; any other is written, read back and compared, so that whatever a class does with
its fields, the text is right or the value is refused, with the path of the place that would change.
What comes from outside is not written here, only read.
"""

from collections.abc import Callable
from typing import Any, Final, TypeGuard, is_typeddict

from tenuto.model.errors import PayloadError
from tenuto.model.payload.decoding import decoder
from tenuto.model.payload.encoding import encode
from tenuto.model.payload.error import ROOT
from tenuto.model.payload.exact import Test, proof
from tenuto.model.payload.sameness import Difference, difference, named

_NO_TYPES: Final[frozenset[type]] = frozenset()
_UNANNOTATED: Final = "; where nothing is annotated, only JSON data come back as they are"


class Writer:
    """Writes values as an annotated type.

    Args:
        annotation: A resolved type, as for :func:`decoder`.

    Attributes:
        is_exact: Whether a value is proved to come back; the rest is compared.
        types: A value that is exactly one of these is proved, too; asking for it costs no call.

    Errors:
        PayloadError: When the type can never be rebuilt.
    """

    __slots__ = ("_annotation", "_decode", "is_exact", "types")

    def __init__(self, annotation: object = Any) -> None:
        self._annotation = annotation
        self._decode: Callable[[str | bytes], Any] = decoder(annotation)
        found = proof(annotation)
        self.is_exact: Test = found.test
        self.types: frozenset[type] = found.types or _NO_TYPES

    def __call__(self, value: object) -> str:
        """Write a value.

        Errors:
            PayloadError: When it cannot be stored, does not fit the annotation, or would come back
                as another one; it names the path.

        Example:
            >>> Writer(list[int])([1, 2])
            '[1,2]'
        """
        return encode(value) if self.is_exact(value) else self._compared(value)

    def _compared(self, value: object) -> str:
        text = encode(value)
        kind = self._annotation
        try:
            found = difference(value, self._decode(text), ROOT)
            is_class_wrong = _is_class(kind) and not _is_instance(value, kind)
        except PayloadError as error:
            found = Difference(error.path, error.reason)
            is_class_wrong = _is_class(kind) and type(value) is not kind
        if found is None:
            return text
        if kind is Any or kind is object:
            found = found._replace(reason=found.reason + _UNANNOTATED)
        elif is_class_wrong:
            name = getattr(kind, "__qualname__", kind)
            found = Difference(ROOT, f"is {named(value)}, but the annotation says {name}")
        raise PayloadError(found.reason, path=found.path)


def _is_class(annotation: object) -> TypeGuard[type]:
    is_class = isinstance(annotation, type) and annotation is not Any
    return is_class and not is_typeddict(annotation)


def _is_instance(value: object, kind: type) -> bool:
    return isinstance(value, kind) or (kind is float and type(value) is int)
