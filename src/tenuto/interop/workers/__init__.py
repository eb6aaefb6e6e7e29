"""Worker processes for programs in another interpreter or language, seen from the host.

Owns the protocol (``docs/worker-protocol.md``) and the processes: they are started, watched,
ended and started again here. Knows nothing of Durable Functions.
"""
