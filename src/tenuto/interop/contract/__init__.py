"""The JSON contract of Durable Functions, between the engine's events and a package's.

Owns the numbers by which a package matches answers to what it has asked for (``execution``), the
contract's events and actions as data, and the Session port over them. Pure but for the session,
which asks a worker. Source of the contract: the published packages of Durable Functions for Python
(1.7.0) and JavaScript (3.5.0), by what they do.
"""
