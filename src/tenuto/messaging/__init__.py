"""Functions that events start: how deliveries come to them, of each kind of trigger.

Owns when and where they run, at-least-once, and what becomes of a delivery that fails again and
again (``no_silent_drop``). Which kinds there are is a table in ``host.triggers``. What a
function is made of it does not know: it has the Program port run it, with the host's client and its
requests to the outside at hand.
"""
