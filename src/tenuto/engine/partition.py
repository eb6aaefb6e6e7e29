"""A partition: everything that this host has in memory of it, and nothing of any other.

An instance belongs to the partition that its id is hashed to, and so does each message to it. Who
owns the partition has its instances, knows where its messages are, tells its timers and decides who
gets its ids. It is taken as a whole, and let go of as a whole (``Engine.drop``).
"""

from functools import partial

from tenuto.engine.delivery import Delivery
from tenuto.engine.loader import Loader
from tenuto.engine.parts import Parts
from tenuto.engine.resident import Residents
from tenuto.engine.rows import Lease
from tenuto.engine.starts import Starts
from tenuto.engine.timers import TimerQueue
from tenuto.model.errors import TenutoError
from tenuto.model.ids import InstanceId


class Partition:
    """A partition owned by this host.

    Args:
        engine: Whose it is.
        lease: The right to commit for it.
        cursor: How far its inbox has been read.

    Attributes:
        number: Which one.
        residents: Its instances in memory.
        delivery: Where its messages are.
        timers: What is due soon.
        loader: Brings its instances into memory.
        starts: Decides who gets its ids.
        is_up: Whether what the store has to be done here was read, and is known in memory.
        is_closing: Whether it is about to be another host's: no activity of it begins any more.
        open_by_root: Its unfinished instances below each root, wherever that stands.
    """

    def __init__(self, engine: Parts, lease: Lease, cursor: int) -> None:
        self.number: int = lease.partition
        self.lease: Lease = lease
        self.cursor: int = cursor
        self.residents: Residents = Residents()
        self.delivery: Delivery = Delivery(engine.pipeline.is_used_up)
        self.timers: TimerQueue = TimerQueue(engine.clock, partial(engine.arrivals.look_at, self))
        self.loader: Loader = Loader(
            engine.storage,
            self.residents,
            partial(engine.arrivals.loaded, self),
            partial(engine.arrivals.missing, self),
            partial(engine.arrivals.damaged, self),
            engine.holding.charge_heaviest,
            partial(engine.is_congested, self),
            engine.on_lost,
        )
        self.starts: Starts = Starts(engine, self)
        self.open_by_root: dict[InstanceId, int] = {}
        self.is_up: bool = False
        self.is_closing: bool = False
        self.deaths: int = 0  # of owners in a row, the last ones before this

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is being read, and no start is being decided."""
        return self.loader.is_idle and self.starts.is_idle

    def count_child(self, root_id: InstanceId, change: int) -> None:
        """So many more (or less) of its instances are unfinished below this root.

        Below zero when one ends before the store was read that says that it was open.
        """
        count = self.open_by_root.get(root_id, 0) + change
        if count:
            self.open_by_root[root_id] = count
        else:
            self.open_by_root.pop(root_id, None)

    def forget(self) -> None:
        """Where its messages are, what is due and who is unfinished is read again."""
        self.timers.clear()
        self.delivery.forgets()
        self.open_by_root.clear()
        self.is_up = False

    def close(self, error: TenutoError) -> None:
        """It is another host's: nothing more happens here, whatever was under way."""
        self.forget()
        self.loader.close()
        self.starts.close(error)
