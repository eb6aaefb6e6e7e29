"""Messages for a hub over connections that are not ours, within their open transactions.

What a caller's program starts or tells so is there when its transaction is committed, and never was
when it is rolled back. Never opens, commits or closes anything. A message goes into an inbox and
nowhere else: whoever leaves a transaction open with a row of an instance, or of a topic, would hold
up everybody (cluster.md 3.3). The packages whose connections these are belong to their users: each
is known by the name of its class, and imported only then.
"""

from tenuto.storage.callers.doors import Door, door_of
from tenuto.storage.callers.recognising import Caller, caller_of

__all__ = ["Caller", "Door", "caller_of", "door_of"]
