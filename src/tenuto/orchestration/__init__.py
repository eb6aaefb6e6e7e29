"""Pure replay: the deterministic event loop, sessions, the context, the determinism check.

Takes events, returns actions. No I/O, no clock, no threads.
"""
