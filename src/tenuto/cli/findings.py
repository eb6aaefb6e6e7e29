"""What the doctor has to say: findings, each with what to do about it. Pure."""

import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from tenuto.engine.queue_ports import QueueStanding
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.engine.upkeep import Examination
from tenuto.insight.advice import command
from tenuto.insight.fit_words import summary
from tenuto.insight.fitting import FitReport, Misfit, OrchestratorFit
from tenuto.insight.wording import duration, moment, one_line, size
from tenuto.model.explanation import Explanation, Fact
from tenuto.model.linking import LinkedHub
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds

_FEW_IDS = 5
_ROOM = 256 * 1024 * 1024
_LONG_READY = 600_000_000
_LONG_LOG = 1024 * 1024 * 1024


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        level: How bad it is.
        topic: What it is about: versions, settings, store, instances, code, topics, queues, files,
            dead letters.
        text: What was found.
        advice: What to do; empty when there is nothing to do.
        instance_id: The instance it is about.
        facts: Why that does not go on, for machines; see ``model.explanation``.
    """

    level: Level
    topic: str
    text: str
    advice: str = ""
    instance_id: str | None = None
    facts: tuple[Fact, ...] = ()


def standstill(record: InstanceRecord, why: Explanation, told: Sequence[str] = ()) -> Finding:
    """Why an unfinished instance does not go on; what was ``told`` of its host is not repeated."""
    sentence = why.sentence
    for reason in told:
        sentence = sentence.replace(f" ({reason})", ", see host")
    return Finding(
        level=Level.WRONG if why.is_stuck else Level.NOTE,
        topic="instances",
        text=f"{record.instance_id} ({one_line(record.name, 60)}) {sentence}",
        advice=why.advice,
        instance_id=record.instance_id,
        facts=why.facts,
    )


def fit_findings(report: FitReport, target: str) -> list[Finding]:
    """Whether code fits what is unfinished: one finding for each way in which it does not."""
    if report.fits:
        text = f"{target}: {summary(report)}"
        return [Finding(level=Level.OK, topic="code", text=text)]
    return [
        Finding(
            level=Level.WRONG,
            topic="code",
            text=_misfit(fit, misfit, target),
            advice="see all of it: tenuto check-replay; deploy code that fits, or let them end "
            "with the code that they have",
        )
        for fit in report.orchestrators
        for misfit in fit.misfits
    ]


def _misfit(fit: OrchestratorFit, misfit: Misfit, target: str) -> str:
    ids = misfit.instance_ids
    more = f" and {len(ids) - _FEW_IDS:,} more" if len(ids) > _FEW_IDS else ""
    named = ", ".join(map(one_line, ids[:_FEW_IDS]))
    sides = ""
    if misfit.recorded is not None and misfit.produced is not None:
        sides = f": recorded {one_line(misfit.recorded)}, produced {one_line(misfit.produced)}"
    held = f"{target} would hold {len(ids):,} of {one_line(fit.name, 60)} ({misfit.reason})"
    return f"{held}{sides}: {named}{more}"


def version_finding(sqlite: str, least: tuple[int, int, int], words: str) -> Finding:
    """Whether this SQLite is one that loses nothing."""
    found = tuple(int(part) for part in sqlite.split("."))
    if found < least:
        wanted = ".".join(map(str, least))
        return Finding(
            level=Level.WRONG,
            topic="versions",
            text=f"{words}: SQLite before {wanted} can lose committed writes under load",
            advice="pip install --upgrade apsw",
        )
    return Finding(level=Level.OK, topic="versions", text=words)


def store_findings(found: Examination, now: Microseconds, *, full: bool) -> list[Finding]:
    """What an examination says of a store."""
    findings = [_schema(found), _soundness(found, full=full), _room(found)]
    findings += [
        _store(Level.WRONG if one.is_wrong else Level.NOTE, one.text, one.advice)
        for one in found.remarks
    ]
    if not found.is_readable:
        return findings
    findings += [*_copy(found), _owner(found), _counts(found, now), *_orphans(found)]
    return findings


def _schema(found: Examination) -> Finding:
    if found.schema == found.known_schema:
        parts = f", {found.partitions} partitions" if found.partitions > 1 else ""
        return _store(Level.OK, f"{found.path}, schema {found.schema}{parts}")
    if found.schema == 0:
        return _store(
            Level.WRONG,
            f"{found.path} is not a Tenuto store",
            "correct the storage URL; the file was left alone",
        )
    if found.schema > found.known_schema:
        return _store(
            Level.WRONG,
            f"{found.path} has schema {found.schema}, this Tenuto knows {found.known_schema}",
            "pip install --upgrade tenuto",
        )
    return _store(
        Level.NOTE,
        f"{found.path} has schema {found.schema}, older than {found.known_schema}",
        "stop older hosts; the next host of this version brings it up to date",
    )


def _soundness(found: Examination, *, full: bool) -> Finding:
    check = "full check" if full else "quick check; --full looks at indexes too"
    if not found.faults:
        return _store(Level.OK, f"sound ({check})")
    faults = "; ".join(found.faults[:3])
    more = len(found.faults) - 3
    return _store(
        Level.WRONG,
        f"damaged: {faults}{f' and {more} more' if more > 0 else ''}",
        "stop its host, keep a copy of the file and its -wal, restore a backup",
    )


def _room(found: Examination) -> Finding:
    if found.free_bytes is None:
        return _store(Level.OK, f"{size(found.size)} in the database")
    text = (
        f"{size(found.size)}, log {size(found.log_size)}, {size(found.free_bytes)} free on its disk"
    )
    if found.free_bytes < _ROOM:
        return _store(Level.WRONG, text, "free some space: a full disk stops every instance")
    if found.log_size > _LONG_LOG:
        return _store(
            Level.NOTE,
            text,
            "some process reads the store for very long, so that its log cannot shrink",
        )
    return _store(Level.OK, text)


def _copy(found: Examination) -> list[Finding]:
    if found.copied_at is None:
        return []
    text = f"a copy that reaches up to {moment(found.copied_at)}"
    if not found.was_left:
        return [_store(Level.OK, f"{text}; the host of its original had stopped")]
    return [
        _store(
            Level.NOTE,
            f"{text}; the host of its original had not stopped",
            "a host starts on it only with --accept-loss, for what came later would run again",
        )
    ]


def _owner(found: Examination) -> Finding:
    if found.is_sealed:
        return _store(Level.NOTE, "imported to be looked at: nothing ever runs on it")
    if found.copied_at is not None:
        return _store(Level.NOTE, "no host has run on it")
    if found.owner is not None:
        return _store(Level.OK, f"owned by {found.owner}")
    if found.was_left:
        return _store(
            Level.NOTE,
            "no host runs on it, and the last one did not say goodbye (killed, or a power cut)",
            "nothing is lost: the next host goes on where it was",
        )
    return _store(Level.NOTE, "no host runs on it")


def silent_host(what: str, owner: str | None) -> Finding:
    """A host that is there, and does nothing.

    Args:
        what: The host, and what it has not done, and for how long.
        owner: Who owns the store, when that is known.
    """
    pid = re.search(r"\bpid (\d+)", owner or "")
    whose = f", though its process {pid[1]} is there" if pid is not None else ""
    return Finding(
        level=Level.WRONG,
        topic="host",
        text=f"{what}{whose}: it may be stopped, or in code that does not let Python go on",
        advice=f"`py-spy dump --pid {'PID' if pid is None else pid[1]}` shows where; what its log "
        "said last",
    )


def _counts(found: Examination, now: Microseconds) -> Finding:
    counts = [
        f"{count:,} {RuntimeStatus(status).label}" for status, count in sorted(found.counts.items())
    ]
    parts = [", ".join(counts) or "no instances"]
    if found.messages:
        waits = "message waits" if found.messages == 1 else "messages wait"
        parts.append(f"{found.messages:,} {waits}")
    if found.oldest_pending is not None:
        parts.append(f"the oldest pending one for {duration(now - found.oldest_pending)}")
    return _store(Level.OK, "; ".join(parts))


def _orphans(found: Examination) -> list[Finding]:
    """Rows that belong to nothing: only a defect or a foreign hand leaves them."""
    kinds = (
        (
            Level.WRONG,
            "history without its instance",
            [f"number {iid}" for iid in found.lost_histories],
            "report it, please; nothing runs because of it, and its number is not used again",
        ),
        (
            Level.WRONG,
            "instances that have begun and have no history",
            [repr(name) for name in found.without_history],
            "restore a backup, or purge them with force and start them again",
        ),
        (
            Level.NOTE,
            "messages for instances that do not exist",
            [repr(name) for name in found.lost_messages],
            "a host puts them aside as dead letters",
        ),
        (
            Level.NOTE,
            "messages in partitions that the hub has not",
            [str(number) for number in found.unserved_partitions],
            "no host reads them: whoever wrote them, not through Tenuto, has to take them out",
        ),
        (
            Level.NOTE,
            "messages of types that this Tenuto does not know",
            [repr(name) for name in found.unknown_types],
            "a host of a newer Tenuto takes them in; others leave them where they are",
        ),
    )
    return [
        _store(level, f"{what}: {_few(names)}", advice)
        for level, what, names, advice in kinds
        if names
    ]


def _few(names: list[str]) -> str:
    more = len(names) - 5
    return f"{', '.join(names[:5])}{f' and {more:,} more' if more > 0 else ''}"


def _store(level: Level, text: str, advice: str = "") -> Finding:
    return Finding(level=level, topic="store", text=text, advice=advice)


def letters_finding(
    count: int, unseen: int, newest: Microseconds | None, place: Sequence[str]
) -> Finding:
    """What there is to say of dead letters: wrong are those that nobody has acknowledged."""
    if not count:
        return Finding(level=Level.OK, topic="dead letters", text="none")
    last = "" if newest is None else f", the newest of {moment(newest)}"
    events = f"{count:,} {'message' if count == 1 else 'messages'} that nobody could take"
    listing = command("dead-letters list", options=place)
    if not unseen:
        text = f"{events}{last}; all were acknowledged"
        return Finding(level=Level.NOTE, topic="dead letters", text=text, advice=listing)
    known = "" if unseen == count else f"; {count - unseen:,} of them were acknowledged"
    return Finding(
        level=Level.WRONG,
        topic="dead letters",
        text=f"{events}{last}{known}",
        advice=f"{listing}; then redrive, purge or acknowledge them",
    )


def queues_findings(
    queues: Sequence[QueueStanding], now: Microseconds, place: Sequence[str]
) -> list[Finding]:
    """What there is to say of queues: wrong are messages that were put aside."""
    findings = []
    for one in queues:
        name = one_line(one.name, 60)
        if one.failed:
            text = f"queue {name}: {_messages(one.failed)} put aside after the last attempt"
            listing = command("queues failed", one.name, options=place)
            advice = f"{listing}; then redrive or drop them"
            findings.append(Finding(level=Level.WRONG, topic="queues", text=text, advice=advice))
        if one.oldest is not None and now - one.oldest > _LONG_READY:
            wait = duration(now - one.oldest, least_unit="s")
            text = f"queue {name}: {_messages(one.ready)} ready, the first for {wait}"
            advice = "see that a host runs with a function for it, and that it keeps up"
            findings.append(Finding(level=Level.NOTE, topic="queues", text=text, advice=advice))
    return findings


def files_findings(
    failed: Sequence[FailedDelivery], place: Sequence[str], *, are_all: bool
) -> list[Finding]:
    """What there is to say of files that were put aside: a line for each function."""
    counts = Counter((one.function, one.name) for one in failed)
    return [
        Finding(
            level=Level.WRONG,
            topic="files",
            text=f"{one_line(function, 60)} of folder {one_line(folder, 60)} has put aside "
            f"{'' if are_all else 'at least '}{count:,} file{'' if count == 1 else 's'}",
            advice=f"{command('files failed', function, options=place)}; then redrive or drop them",
        )
        for (function, folder), count in counts.items()
    ]


def _messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"


def link_finding(hub: LinkedHub, now: Microseconds) -> Finding:
    """How a link is: what waits for the other hub, and why."""
    verb = "waits" if hub.waiting == 1 else "wait"
    waits = f"{_messages(hub.waiting)} ({hub.waiting_bytes:,} bytes) {verb} for it"
    heard = "never heard of"
    if hub.heard_at is not None:
        heard = f"last heard of {duration(max(0, now - hub.heard_at))} ago"
    level = Level.OK
    if hub.waiting:
        level = Level.NOTE
    if hub.problem is not None:
        level = Level.WRONG
    why = "" if hub.problem is None else f": {one_line(hub.problem)}"
    return Finding(
        level=level,
        topic="links",
        text=f"{hub.name}: {waits}; {heard}{why}",
        advice="" if hub.problem is None else "look at all of them: tenuto links list",
    )
