"""See that tests notice when a guard is gone: each mutation must turn one red.

    python tools/mutations.py            # all
    python tools/mutations.py 3 7        # some, by number

Each is a small change of the engine, or of topics, queues, files and links, that loses a message,
takes one in twice or lets in who has no right, in some order of events that is rare. It is made in
a copy of the sources, and the engine's unit tests are run on that, which are part of `make quick`,
or the tests that it names. A mutation that no test notices, or whose text is not in the sources any
more, fails.

Long because it is one list.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = "tests/unit/engine"
SECONDS = 300


@dataclass(frozen=True)
class Mutation:
    """A guard that is taken away.

    Attributes:
        name: What goes wrong then.
        file: In ``src/tenuto``.
        old: The text there, once.
        new: What stands there instead.
        tests: The file or folder of the tests that notice it.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str = TESTS


MUTATIONS = [
    Mutation(
        "a copy of what is in an inbox is handed over again",
        "engine/delivery.py",
        """        if key in self._places:
            return False
        self._places[key] = Place.HERE""",
        """        self._places[key] = Place.HERE""",
    ),
    Mutation(
        "a copy of what is on its way sets out as well",
        "engine/delivery.py",
        """        if message_id in self._places:
            return False
        self._places[message_id] = _ARRIVING""",
        """        self._places[message_id] = _ARRIVING""",
    ),
    Mutation(
        "what its instance was read with arrives as well",
        "engine/delivery.py",
        """        if not self.is_arriving(key):
            return False
        self._places[key]""",
        """        self._places[key]""",
    ),
    Mutation(
        "what left memory with its instance is never taken in again",
        "engine/retention.py",
        """        resident.home.delivery.leaves(resident.held)
""",
        "",
    ),
    Mutation(
        "a page brings back what was used up while it was read",
        "engine/delivery.py",
        "return message_id in self._places or self._is_used_up(message_id)",
        "return message_id in self._places",
    ),
    Mutation(
        "an id is believed to be nobody's, though its instance came and went meanwhile",
        "engine/loader.py",
        "            if record is None and name in departed:\n",
        "            if record is None and name in ():\n",
    ),
    Mutation(
        "an answer to another attempt counts",
        "engine/turns/sorting.py",
        """        and call.sequence == answer.sequence
""",
        "",
    ),
    Mutation(
        "a timer that was set anew fires at its old time",
        "engine/turns/sorting.py",
        """        if work.timers.get(task_id) != message.event.fire_at:
            return None
""",
        """        if task_id not in work.timers:
            return None
""",
    ),
    Mutation(
        "work whose answer waits in the inbox runs again",
        "engine/release.py",
        " and not _is_answered(resident, work.sequence)\n",
        "\n",
    ),
    Mutation(
        "a successor begins before the old one has answered",
        "engine/starts.py",
        "        elif resident is not None and not resident.is_idle:\n",
        "        elif resident is not None and resident.works:\n",
    ),
    Mutation(
        "who reads a page does not hear of what is used up meanwhile",
        "engine/pipeline.py",
        "            self.used_up.update(batch.consumed)\n",
        "            pass\n",
    ),
    Mutation(
        "a start that is read anew while it is being decided is decided twice",
        "engine/delivery.py",
        "for key, one in self._places.items() if one is deciding",
        "for key, one in self._places.items() if one is None",
    ),
    Mutation(
        "what was decided under a lease that was lost is written under the next",
        "engine/lifecycle.py",
        "                self._engine.drop(number)\n            wanted",
        "                pass\n            wanted",
    ),
    Mutation(
        "a parent is not told of its child's id when the child's partition has gone",
        "engine/release.py",
        "            engine.takeback.owe(batch.instances[iid])\n",
        """            if child is not None:
                engine.takeback.owe(batch.instances[iid])
""",
    ),
    Mutation(
        "a page that was asked for under an older lease is routed",
        "engine/reading.py",
        """            if not engine.is_ours(home):
                continue
            if not""",
        """            home = engine.partitions.get(row.partition, home)
            if not""",
    ),
    Mutation(
        "a start in the inbox of a partition that has gone is refused",
        "engine/starts.py",
        "            if error is not None and not self._is_closed:\n",
        "            if error is not None:\n",
    ),
    Mutation(
        "a request whose batch lands after its partition has gone is asked twice",
        "engine/pipeline.py",
        "_answer_with(flying, message.message_id, callers)",
        "pass",
        tests="tests/integration/test_clients_of_several_hosts.py",
    ),
    Mutation(
        "what is stored while its partition comes here is not looked at",
        "client/engine_gateway.py",
        "            self._arrived()",
        "            pass",
        tests="tests/integration/test_clients_of_several_hosts.py",
    ),
    Mutation(
        "what the host before has committed last is not told",
        "engine/updates.py",
        "            self._look_afar(instance_id, is_last=True)",
        "            pass",
        tests="tests/integration/test_clients_of_several_hosts.py",
    ),
    Mutation(
        "turns between two hosts are left out",
        "engine/subscription.py",
        "between = range(last[1] + 1, here[1]) if here[0] == last[0] else ()",
        "between = ()",
        tests="tests/unit/engine/test_listeners_of_moving_instances.py",
    ),
    Mutation(
        "a store that takes long is looked at as often",
        "engine/store_watch.py",
        "max(_LEAST_SECONDS, _SHARE * took)",
        "_LEAST_SECONDS",
        tests="tests/unit/engine/test_store_watch.py",
    ),
    Mutation(
        "instances of other hosts do not count below a root",
        "engine/descendants.py",
        "            count += place.count(now)\n",
        "",
        tests="tests/integration/test_limits_of_several_hosts.py",
    ),
    Mutation(
        "whoever takes a partition waits for the end of all work",
        "engine/lifecycle.py",
        "        await engine.pipeline.passed()\n        assert self._host is not None",
        "        await engine.pipeline.flush()\n        assert self._host is not None",
    ),
    Mutation(
        "the times of all partitions count as read when those of one are",
        "engine/reading.py",
        "        if engine.partitions.keys() <= found.keys():\n",
        "        if found:\n",
    ),
    Mutation(
        "open descendants are counted again when everything is read anew",
        "engine/partition.py",
        """        self.open_by_root.clear()
""",
        "",
    ),
    Mutation(
        "a partition that is lost and taken again counts as served all the while",
        "engine/lifecycle.py",
        "self._note_served(leases))",
        "self._note_served(list(self._engine.pipeline.leases.values())))",
    ),
    Mutation(
        "care is taken of everybody",
        "engine/careful.py",
        "        if admitted is None or iid in admitted:\n",
        "        if admitted is not None and iid in admitted:\n",
    ),
    Mutation(
        "tries are noted of instances that are another host's",
        "engine/holding.py",
        "[one for one in residents if engine.is_ours(one.home)]",
        "[*residents]",
    ),
    Mutation(
        "callers of a partition that has gone wait for ever when its batch is refused",
        "engine/takeback.py",
        "                if engine.find(caller.instance_id) is not None:\n",
        "                if caller:\n",
    ),
    Mutation(
        "what a take has read in vain stays taken",
        "engine/lifecycle.py",
        "                await engine.storage.release(leases)\n            raise\n",
        "                pass\n            raise\n",
    ),
    Mutation(
        "two takes of one partition mix",
        "engine/lifecycle.py",
        "            async with self._taking:\n                yield\n",
        "            yield\n",
    ),
    Mutation(
        "what is sent while a partition is taken is overtaken",
        "engine/lifecycle.py",
        "            self._reading.route([row for row in late if row.partition in found])\n",
        "",
    ),
    Mutation(
        "what an instance has sent before it came to us is overtaken",
        "engine/lifecycle.py",
        "            await self._reading.catch_up()\n",
        "",
    ),
    Mutation(
        "a start that was read while its commit was in doubt is decided twice",
        "engine/release.py",
        "            if home is None or not home.delivery.is_known(row.message_id):\n",
        "            if home is None or row.message_id:\n",
    ),
    Mutation(
        "a parent is not told again when the word to it was taken back",
        "engine/takeback.py",
        """        for record in list(self._owed.values()):
            self.owe(record)
""",
        "",
    ),
    Mutation(
        "a partition that was taken meanwhile is brought up twice",
        "engine/reading.py",
        " and not homes[number].is_up:\n",
        ":\n",
    ),
    Mutation(
        "what is kept for an instance is written by who has lost it",
        "engine/batch.py",
        """        partitions.update(map(_PARTITION, map(_RESIDENT, self.put_by)))
""",
        "",
    ),
    Mutation(
        "a batch that is sent again has lost the fence of a partition that has gone",
        "engine/pipeline.py",
        "                flying.held.add(home.number)\n",
        "                pass\n",
    ),
    Mutation(
        "who uses a webhook from outside gets no answer",
        "engine/turns/sorting.py",
        "return RaiseEvent(message_id=key, awaits_answer=awaits_answer, event=event)",
        "return RaiseEvent(message_id=key, event=event)",
    ),
    Mutation(
        "the history of a child that replaces an instance has the id of another execution",
        "engine/starts.py",
        "message = structs.replace(message, event=event)",
        "pass",
    ),
    Mutation(
        "what was carried out is answered to who does not ask",
        "engine/batch.py",
        """            if message.awaits_answer:
                self.answers[key] = Answer(key)""",
        """            self.answers[key] = Answer(key)""",
    ),
    Mutation(
        "what was refused is answered to who does not ask",
        "engine/batch.py",
        "if key is not None and message.awaits_answer:",
        "if key is not None:",
    ),
    Mutation(
        "what has ended says nothing to who asks something of it",
        "engine/turns/sorting.py",
        "elif isinstance(message, CLIENT_MESSAGES):",
        "elif isinstance(message, RaiseEvent):",
    ),
    Mutation(
        "calls of the turn that ends an instance do not run",
        "engine/turns/orchestration.py",
        "        state.keep_last_calls(answer.actions)\n",
        "        state.keep_last_calls(())\n",
        tests="tests/integration/test_activity_behaviour.py",
    ),
    Mutation(
        "calls that nobody waited for run again after a crash",
        "engine/arrivals.py",
        "            state.keep_last_calls(decode_turn(loaded.turns[-1]))\n",
        "",
        tests="tests/integration/test_activity_behaviour.py",
    ),
    Mutation(
        "an event that does not fit is no dead letter",
        "engine/turns/effects.py",
        "    EventRefused: _event_refused,\n",
        "",
        tests="tests/integration/test_external_events.py",
    ),
    Mutation(
        "a child goes on when its call is given up",
        "engine/turns/effects.py",
        "    if action.child is not None:\n",
        "    if False:\n",
        tests="tests/integration/test_sub_orchestrations.py",
    ),
    Mutation(
        "the end of a tree stops at those that have ended",
        "engine/turns/sorting.py",
        "message.recurse and _is_handed_on(state, message):",
        "False:",
        tests="tests/integration/test_sub_orchestrations.py",
    ),
    Mutation(
        "a wait that goes on is told what went to another one",
        "engine/correlation.py",
        " or key in self._told or key in self._new:",
        " or key in self._told:",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "a wait that is over while its partition is read comes back",
        "engine/correlation.py",
        """            and over.isdisjoint(((row.iid, row.task_id), (row.iid, ALL_TOPIC_WAITS)))
""",
        "",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "waits of a partition that has gone meanwhile come in",
        "engine/correlation.py",
        """                    if row.partition in reading
                    and over.isdisjoint""",
        "                    if over.isdisjoint",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "who waits after a pause reads all that came meanwhile",
        "engine/correlation.py",
        """            self._cursor = None

    def owned""",
        """            pass

    def owned""",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "a wait that could not be looked up is forgotten",
        "engine/correlation.py",
        """            self._new = {key: None for key in keys if key in self._waits} | self._new
            raise""",
        "            raise",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "events that could not be asked for are forgotten",
        "engine/correlation.py",
        """            self._is_fed = True
            raise""",
        "            raise",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "waits of a partition that could not be read are forgotten",
        "engine/correlation.py",
        """            self._taken |= reading
            raise""",
        "            raise",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "waits that a page has no room for are forgotten",
        "engine/correlation.py",
        "self._is_fed = self._is_fed or page.has_more",
        "pass",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "events for waits that a page has no room for are forgotten",
        "engine/correlation.py",
        """        if page.has_more:
            found""",
        """        if False:
            found""",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "an event that comes while its wait is looked up is overlooked",
        "engine/correlation.py",
        """        await self._set_out()
        if self._is_fed:
            await self._find_waits(self._cursor or 0)
            await self._set_out()
        if self._new:
            await self._look_up(list(islice(self._new, _WAITS_AT_ONCE)))
""",
        """        if self._is_fed:
            await self._find_waits(self._cursor or 0)
        if self._new:
            await self._look_up(list(islice(self._new, _WAITS_AT_ONCE)))
        await self._set_out()
""",
        tests="tests/unit/engine/test_correlation_in_trouble.py",
    ),
    Mutation(
        "waits of an execution that is over stay",
        "engine/turns/topics.py",
        "if changes or any(one.topic is not None for one in state.work.awaits.values()):",
        "if changes:",
        tests="tests/unit/engine/test_topic_turns.py",
    ),
    Mutation(
        "the row of a wait that ends in the last turn stays",
        "engine/turns/topics.py",
        "        if changes or any(",
        "        if any(",
        tests="tests/unit/engine/test_topic_turns.py",
    ),
    Mutation(
        "an older lease of the same owner notes how far a subscription is",
        "storage/sqlite/topics.sql",
        """:epoch
FROM partition
WHERE partition = :partition AND owner = :owner AND epoch = :epoch""",
        """:epoch
FROM partition
WHERE partition = :partition AND owner = :owner""",
        tests="tests/conformance/test_topics_of_stores.py",
    ),
    Mutation(
        "what was given back to one subscription is given to all",
        "storage/sqlite/topics.sql",
        "FROM redelivery WHERE subscription = :name AND number > :after",
        "FROM redelivery WHERE number > :after",
        tests="tests/conformance/test_topics_of_stores.py",
    ),
    Mutation(
        "a subscription whose partition is lost goes on delivering",
        "messaging/topics/listener.py",
        "return self._error is None and self._is_ours",
        "return self._error is None",
        tests="tests/integration/test_subscriptions_of_several_hosts.py",
    ),
    Mutation(
        "a note that cannot be written fails those beside it",
        "messaging/topics/feed.py",
        "if len(wanted) > 1:",
        "if False:",
        tests="tests/unit/messaging/test_subscription_guards.py",
    ),
    Mutation(
        "subscriptions hear nothing more after an error of the store",
        "messaging/topics/feed.py",
        """                    self._is_fed = True  # listeners say so themselves
""",
        "",
        tests="tests/unit/messaging/test_subscription_guards.py",
    ),
    Mutation(
        "a subscription to another topic begins when its listener does",
        "messaging/topics/feed.py",
        "for place in places if place.topic == wanted[place.name].topic}",
        "for place in places}",
        tests="tests/unit/messaging/test_subscription_guards.py",
    ),
    Mutation(
        "events that may end the host run beside each other",
        "messaging/suspects.py",
        "        await self._turn.acquire()\n        has_turn = [self._turn]\n",
        "        has_turn: list[asyncio.Lock] = []\n",
        tests="tests/unit/messaging/test_suspicion.py",
    ),
    Mutation(
        "hosts that are ended from outside blame an event",
        "messaging/suspects.py",
        "            if is_decisive:\n                await self.quiet()\n",
        "",
        tests="tests/unit/messaging/test_suspicion.py",
    ),
    Mutation(
        "an event ends one host more than the setting says",
        "messaging/topics/suspicion.py",
        "suspect.deaths >= most and",
        "suspect.deaths > most and",
        tests="tests/unit/messaging/test_suspicion.py",
    ),
    Mutation(
        "a store that is away costs an event an attempt",
        "messaging/listening.py",
        "            if not isinstance(failure, StorageUnavailableError):\n",
        "            if True:\n",
        tests="tests/unit/messaging/test_subscription_guards.py",
    ),
    Mutation(
        "what was put aside is lost when its note fails",
        "messaging/topics/listener.py",
        "failed, self._failed = [*failed, *self._failed], []",
        "failed, self._failed = [*self._failed], []",
        tests="tests/unit/messaging/test_subscription_guards.py",
    ),
    Mutation(
        "a message that is done but not noted is resumed",
        "messaging/queue_work.py",
        "if one.number in self._running or one.number in self.done:",
        "if one.number in self._running:",
        tests="tests/unit/messaging/test_queue_work.py",
    ),
    Mutation(
        "a store that is away costs a message an attempt",
        "messaging/queue_work.py",
        "self._put_back(message, _STORE_PAUSE, message.attempts - 1)",
        "self._put_back(message, _STORE_PAUSE, message.attempts)",
        tests="tests/unit/messaging/test_queue_work.py",
    ),
    Mutation(
        "messages to be resumed are forgotten when a note fails",
        "messaging/queue_work.py",
        """        waiting.extendleft(reversed(notes.resume))
""",
        "",
        tests="tests/unit/messaging/test_queue_work.py",
    ),
    Mutation(
        "a message runs twice at once on one host",
        "messaging/queue_work.py",
        """        if message.number in self._running:
            return False
""",
        "",
        tests="tests/unit/messaging/test_queue_work.py",
    ),
    Mutation(
        "a message that may end the host begins beside others",
        "messaging/queue_work.py",
        "        if is_one_watched and (self.is_alone or self._suspects):\n            return 0\n",
        "",
        tests="tests/unit/messaging/test_queue_work.py",
    ),
    Mutation(
        "what another owner has made of messages is written over",
        "messaging/queue_work.py",
        """        self.later, self.failed = [], []

    def take_over""",
        """
    def take_over""",
        tests="tests/unit/messaging/test_queue_work.py",
    ),
    Mutation(
        "an older lease of the same owner works on a queue",
        "storage/sqlite/queues.sql",
        " AND owner = :owner AND epoch = :epoch;",
        " AND owner = :owner;",
        tests="tests/conformance/test_queues_of_stores.py",
    ),
    Mutation(
        "a message that went back is resumed at once",
        "storage/sqlite/queues.sql",
        "WHERE number = one.value ->> 0 AND visible_at = :in_work AND queue = :queue",
        "WHERE number = one.value ->> 0 AND queue = :queue",
        tests="tests/conformance/test_queues_of_stores.py",
    ),
    Mutation(
        "a message of another queue is resumed",
        "storage/sqlite/queues.sql",
        """AND visible_at = :in_work
        AND queue = :queue""",
        "AND visible_at = :in_work",
        tests="tests/conformance/test_queues_of_stores.py",
    ),
    Mutation(
        "messages of other queues are deleted with those of one",
        "storage/sqlite/queues.sql",
        """DELETE FROM queued WHERE queue = :queue
    AND message_id IN""",
        "DELETE FROM queued WHERE message_id IN",
        tests="tests/conformance/test_queues_of_stores.py",
    ),
    Mutation(
        "messages of another hub are taken in twice",
        "storage/sqlite/linking.py",
        """            if value(connection, "received", taken) is None:
                return
""",
        """            value(connection, "received", taken)
""",
        tests="tests/conformance/test_links_of_stores.py",
    ),
    Mutation(
        "a part of a message stays for the next link of its name",
        "storage/sqlite/linking.py",
        """            connection.execute(SQL["drop_linked_hub"], {"name": name})
            connection.execute(SQL["drop_pieces"], {"hub": name, "sequence": None})""",
        '            connection.execute(SQL["drop_linked_hub"], {"name": name})',
        tests="tests/conformance/test_links_of_stores.py",
    ),
    Mutation(
        "a part of a message of a past life stays",
        "storage/sqlite/linking.py",
        """            connection.execute(SQL["new_life"], {"hub": hub, "life": life})
            connection.execute(SQL["drop_pieces"], {"hub": hub, "sequence": None})""",
        '            connection.execute(SQL["new_life"], {"hub": hub, "life": life})',
        tests="tests/conformance/test_links_of_stores.py",
    ),
    Mutation(
        "a past life of another hub may come again",
        "storage/sqlite/linking.py",
        "                if life in past:",
        "                if False:",
        tests="tests/conformance/test_links_of_stores.py",
    ),
    Mutation(
        "a message that is here is taken in again",
        "link/end.py",
        """            if frame.sequence <= last:
                continue  # it is here
""",
        "",
        tests="tests/integration/test_link_cuts.py",
    ),
    Mutation(
        "a message from another hub may be as long as it likes",
        "link/end.py",
        "        if frame.of > self._most_envelope or held_bytes + size > self._most_envelope:\n",
        "        if False:\n",
        tests="tests/unit/link",
    ),
    Mutation(
        "a refusal that was taken back is told to nobody",
        "link/end.py",
        """        if not is_told.is_set():
            return  # taken back: it is refused once more
""",
        "",
        tests="tests/unit/link",
    ),
    Mutation(
        "a refusal of what has gone drops the next message",
        "link/end.py",
        "if not found or found[0].sequence != refusal.sequence:",
        "if not found:",
        tests="tests/unit/link",
    ),
    Mutation(
        "what comes while messages are read waits for the next",
        "link/end.py",
        """            self._news.clear()
            waiting = await store.outgoing(self.name, place.received, most_bytes)
""",
        """            waiting = await store.outgoing(self.name, place.received, most_bytes)
            self._news.clear()
""",
        tests="tests/unit/link",
    ),
    Mutation(
        "a link for which nothing waits may count as full",
        "link/end.py",
        """            if not waiting:
                means.outside.has_left_all(self.name)
""",
        "",
        tests="tests/unit/link",
    ),
    Mutation(
        "a copy that is older than what came waits for it for ever",
        "link/end.py",
        """            await means.store.take_in(self.name, parcel.after, [], means.clock.now())
            place""",
        "            place",
        tests="tests/unit/link",
    ),
    Mutation(
        "what is refused is fetched again and again",
        "link/dialling.py",
        """            await self._refusal_told.wait()
""",
        "",
        tests="tests/unit/test_dialling.py",
    ),
    Mutation(
        "another hub starts an id of sub-orchestrations",
        "link/translation.py",
        "    if derived_from(to) is not None:",
        "    if False:",
        tests="tests/unit/link",
    ),
    Mutation(
        "a call of another hub may be nested as deep as it says",
        "link/translation.py",
        "    if not 0 <= message.depth <= limits.nesting_depth:",
        "    if False:",
        tests="tests/unit/link",
    ),
    Mutation(
        "another hub ends what it has not called",
        "link/translation.py",
        "    if message.child_of is None:",
        "    if False:",
        tests="tests/unit/link",
    ),
    Mutation(
        "another hub gives an execution any id",
        "link/translation.py",
        "    if not _EXECUTION_ID.fullmatch(text):",
        "    if False:",
        tests="tests/unit/link",
    ),
    Mutation(
        "an input from another hub is as long as it likes",
        "link/translation.py",
        """    _check_payload(event.input, limits, f"the input of {name!r}")
""",
        "",
        tests="tests/unit/link",
    ),
    Mutation(
        "what is decided for a link that goes is buried before it is there",
        "link/links.py",
        """            await self._means.pipeline.passed()
""",
        "",
        tests="tests/unit/link",
    ),
    Mutation(
        "a link is dialled after its host has stopped",
        "link/links.py",
        """        if not self._is_running:
            return  # nobody would hang up again
""",
        "",
        tests="tests/unit/link",
    ),
    Mutation(
        "who reads links late undoes what was read meanwhile",
        "link/links.py",
        "async with self._refreshing:",
        "if True:",
        tests="tests/unit/link",
    ),
    Mutation(
        "a full link refuses the results of what it has taken in",
        "engine/outside.py",
        "        if is_full and not isinstance(message, _FOLLOWS):",
        "        if is_full:",
        tests="tests/unit/link",
    ),
    Mutation(
        "the body of a CloudEvent is said to be JSON, and is none",
        "http/events/cloud_events.py",
        """    if body and is_json(kind or JSON):
        await json_text(body)
""",
        "",
        tests="tests/integration/test_cloud_events.py",
    ),
    Mutation(
        "the goodbye of Event Grid is published",
        "http/events/event_grid.py",
        "if kind in _GOODBYES:",
        "if False:",
        tests="tests/integration/test_cloud_events.py",
    ),
    Mutation(
        "the key of Event Grid opens more than its webhook",
        "http/events/event_grid.py",
        "opened_by_event_grid_key=route.path == PATH",
        "opened_by_event_grid_key=True",
        tests="tests/integration/test_cloud_events.py",
    ),
    Mutation(
        "what was given back runs again for each that is published",
        "messaging/topics/listener.py",
        "name, after = self._trigger.subscription, self._read_given_back",
        "name, after = self._trigger.subscription, 0",
        tests="tests/unit/messaging/test_subscription_guards.py",
    ),
    Mutation(
        "an empty key opens a link",
        "link/links.py",
        """        if not key:
            return None
""",
        """        key = key or ""
""",
        tests="tests/unit/link",
    ),
    Mutation(
        "a link that this hub dials is opened by its own key",
        "link/links.py",
        """        if end is not None and end.hub.url is not None:
            end = None
""",
        "",
        tests="tests/unit/link",
    ),
    Mutation(
        "an event in a batch may not be nested as deep as alone",
        "http/events/cloud_events.py",
        "levels=MAX_DEPTH + 2",
        "levels=MAX_DEPTH",
        tests="tests/integration/test_cloud_events.py",
    ),
    Mutation(
        "a publish wakes all queues",
        "host/triggers.py",
        "queues if news.queues is None else queues.keys() & news.queues",
        "queues",
        tests="tests/unit/messaging/test_wakes.py",
    ),
    Mutation(
        "what another process queues wakes nobody",
        "host/triggers.py",
        "queues if news.queues is None else queues.keys() & news.queues",
        "queues.keys() & (news.queues or ())",
        tests="tests/unit/messaging/test_wakes.py",
    ),
    Mutation(
        "what is given back wakes nobody",
        "engine/commands.py",
        "self._engine.fed(ANYTHING)",
        "pass",
        tests="tests/unit/messaging/test_wakes.py",
    ),
    Mutation(
        "what a turn queues wakes nobody",
        "engine/release.py",
        "chain(batch.queued, *(one.messages for one in batch.posted))",
        "chain(*(one.messages for one in batch.posted))",
        tests="tests/unit/messaging/test_wakes.py",
    ),
    Mutation(
        "a file that is given back and gone is dropped",
        "messaging/files.py",
        """        self._runs.put_back(given, TenutoError(f"it was given back, but {why}"))
""",
        "",
        tests="tests/integration/test_files.py",
    ),
    Mutation(
        "a file that is given back is not seen when none has failed",
        "messaging/files.py",
        "if not (has_failed or self.wants_given_back):",
        "if not has_failed:",
        tests="tests/integration/test_files.py",
    ),
    Mutation(
        "a file that is given back is put aside twice when its note fails",
        "messaging/files.py",
        """            if not self._notes.is_taken_back(one.position):
""",
        """            if True:
""",
        tests="tests/integration/test_files.py",
    ),
    Mutation(
        "an event of a program's transaction leaves the inbox and comes into no topic",
        "engine/handed_in.py",
        "            batch.posted.append(Posted([event], [], partial(self._told, key)))\n",
        "            partial(self._told, key), event, Posted\n",
        tests="tests/unit/engine/test_handed_in.py",
    ),
    Mutation(
        "an event that no store can hold is tried for ever",
        "engine/handed_in.py",
        "self._refused[key] = str(error)",
        "str(error)",
        tests="tests/unit/engine/test_handed_in.py",
    ),
]


def is_noticed(mutation: Mutation, folder: Path) -> bool:
    """Whether a test turns red when the sources, copied there, are changed so."""
    for name in ("src", "tests", "bench"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    changed = folder / "src" / "tenuto" / mutation.file
    text = changed.read_text()
    if text.count(mutation.old) != 1:
        raise LookupError(f"{mutation.file} has this {text.count(mutation.old)} times, not once")
    changed.write_text(text.replace(mutation.old, mutation.new))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-cov", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--timeout", str(SECONDS), mutation.tests],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}"},
        capture_output=True,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise ChildProcessError(done.stdout.decode()[-2000:])
    return done.returncode == 1


def main(arguments: list[str]) -> int:
    chosen = [int(one) for one in arguments] or range(1, len(MUTATIONS) + 1)
    survivors = 0
    for number in chosen:
        mutation = MUTATIONS[number - 1]
        with tempfile.TemporaryDirectory(prefix="tenuto-mutation-") as folder:
            noticed = is_noticed(mutation, Path(folder))
        survivors += not noticed
        print(f"{number:3} {'noticed ' if noticed else 'SURVIVES'}  {mutation.name}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} noticed")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
