"""Pure data: what an orchestration is made of.

Owns the history events, messages, actions, statuses, failures, retry policy, ids, errors and
their stable JSON forms. Imports nothing of Tenuto above it, does no I/O, reads no clock.
"""
