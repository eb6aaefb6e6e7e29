"""What is durably known of the files of a folder, for the host that owns their function.

Keeps the promise ``no_silent_drop`` for files: that one has begun is noted before it does, and how
it has ended before anything else is done with it. Knows no folder and runs no function.
"""

import asyncio
from collections.abc import Iterator

from tenuto.engine.ports import Observer, Storage
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.model.arrived_files import (
    NOTES,
    KnownFile,
    KnownFiles,
    decode_files,
    device_key,
    encode_files,
    note_key,
    note_of,
)


class FileNotes:
    """Notes of one function's files. Those that are written at once share a transaction.

    Args:
        storage: Keeps them.
        lease: Of the partition of the function.
        function: Its name.
    """

    def __init__(self, storage: Storage, lease: Lease, function: str) -> None:
        self._storage = storage
        self._lease = lease
        self._function = function
        self._notes: dict[int, KnownFiles] = {}
        self._changed: set[int] = set()
        self._failed: list[FailedDelivery] = []
        self._redelivered: list[int] = []
        self._device: int | None = None
        self._is_device_changed = False
        self._writing = asyncio.Lock()

    async def load(self, observer: Observer) -> None:
        """Find out what hosts before have noted; a file that ran has seen the end of one."""
        keys = {note_key(self._function, number): number for number in range(NOTES)}
        device = device_key(self._function)
        for key, text in (await self._storage.notes([*keys, device])).items():
            if key == device:
                self._device = int(text) if text.isdecimal() else None
                continue
            files = decode_files(text)
            if files is None:
                observer.problem(
                    None,
                    f"what the store keeps of files of function {self._function!r} cannot be read "
                    f"(note {key!r}): those that still lie in its folder are delivered again",
                )
                continue
            taken_up = {path: known.taken_up() for path, known in files.items()}
            self._notes[keys[key]] = taken_up
            if taken_up != files:
                self._changed.add(keys[key])

    # --- what is known ---------------------------------------------------------------------------

    def get(self, path: str) -> KnownFile | None:
        """What is known of a file."""
        return self._notes.get(note_of(path), {}).get(path)

    def __iter__(self) -> Iterator[tuple[str, KnownFile]]:
        for files in self._notes.values():
            yield from files.items()

    def set(self, path: str, known: KnownFile) -> None:
        """Know this of a file, durably after the next ``write``."""
        self.set_loosely(path, known)
        self._changed.add(note_of(path))

    def set_loosely(self, path: str, known: KnownFile) -> None:
        """Know this of a file; that need not be durable, since the folder tells it as well."""
        self._notes.setdefault(note_of(path), {})[path] = known

    def forget(self, path: str) -> None:
        """A file is gone."""
        if self._notes.get(note_of(path), {}).pop(path, None) is not None:
            self._changed.add(note_of(path))

    def put_aside(self, path: str, known: KnownFile, failed: FailedDelivery) -> None:
        """A file has failed for good; with the next ``write`` it is listed."""
        self.set(path, known)
        self._failed.append(failed)

    def put_back(self, failed: FailedDelivery) -> None:
        """A file that is not here is put aside again; with the next ``write`` it is listed."""
        self._failed.append(failed)

    def took_back(self, position: int) -> None:
        """A file that was given back is known to be; with the next ``write`` that is done."""
        self._redelivered.append(position)

    def is_taken_back(self, position: int) -> bool:
        """Whether that is so, though it could not be written yet."""
        return position in self._redelivered

    @property
    def device(self) -> int | None:
        """On which device the folder was last; None when it was never seen."""
        return self._device

    @device.setter
    def device(self, device: int) -> None:
        self._is_device_changed |= device != self._device
        self._device = device

    # --- writing ---------------------------------------------------------------------------------

    async def write(self) -> None:
        """Make durable what is known by now; when that fails, it is part of the next write.

        Raises:
            FencedError: the function is another host's by now.
            StorageError: it could not be written.
        """
        async with self._writing:
            changed, failed, redelivered = self._changed, self._failed, self._redelivered
            is_device_changed = self._is_device_changed
            if not (changed or failed or redelivered or is_device_changed):
                return  # whoever wrote before us has written ours
            self._changed, self._failed, self._redelivered = set(), [], []
            self._is_device_changed = False
            notes = {
                note_key(self._function, number): encode_files(self._notes.get(number, {}))
                for number in changed
            }
            if is_device_changed:
                notes[device_key(self._function)] = str(self._device)
            try:
                await self._storage.write_notes(self._lease, notes, failed, redelivered)
            except BaseException:
                self._changed |= changed
                self._failed[:0] = failed
                self._redelivered[:0] = redelivered
                self._is_device_changed |= is_device_changed
                raise
