"""Who should have which partitions of a hub. Pure: every host comes to the same from one roster.

Owns the fair share. Each host that lives gets the same number of partitions, but for one, and what
moves is as little as that needs: who has too much gives away, one at a time, and who has too little
takes what is free. Nobody is told to do anything, so that a host that hangs holds nobody up.

During an upgrade the hosts of the newest app version take what becomes free, and older ones take
nothing: so a partition moves to the new version once, and never back (``fair_shares``).
"""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from tenuto.engine.member_ports import Roster


class Change(Struct, frozen=True):
    """What a host is to do next.

    Attributes:
        take: Partitions to take now.
        surplus: So many of its own are to be given away, one after another.
    """

    take: list[int] = []
    surplus: int = 0


def fair_shares(roster: Roster) -> Mapping[str, int]:
    """How many partitions each host of the hub should have; who leaves, none."""
    shares = {one.member: 0 for one in roster.members}
    staying = [one for one in roster.members if not one.is_leaving]
    if not staying:
        return shares
    held = Counter(place.member for place in roster.places if not place.is_free)
    newest = max(one.newness for one in staying)
    left = len(roster.places)
    for one in staying:
        if one.newness < newest:
            shares[one.member] = min(held[one.member], len(roster.places) // len(staying))
            left -= shares[one.member]
    new = [one.member for one in staying if one.newness == newest]
    each, more = divmod(left, len(new))
    # Who has most keeps most: then the fewest move.
    for number, member in enumerate(sorted(new, key=lambda name: (-held[name], name))):
        shares[member] = each + (number < more)
    return shares


def change_for(roster: Roster, me: str) -> Change:
    """What a host is to do next; nothing for one that the roster does not know."""
    share = fair_shares(roster).get(me)
    if share is None:
        return Change()
    mine = sum(place.member == me and not place.is_free for place in roster.places)
    if mine >= share:
        return Change(surplus=mine - share)
    free = [place.partition for place in roster.places if place.is_free]
    # Others look at the same list: each begins elsewhere, so that they seldom meet.
    order = sorted(one.member for one in roster.members)
    begin = order.index(me) * len(free) // len(order)
    return Change(take=(free[begin:] + free[:begin])[: share - mine])
