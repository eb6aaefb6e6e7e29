"""The runtime: turns, partitions, commit pipeline, dispatch, timers, recovery.

Owns the rules by which messages become turns and turns become durable effects. Talks to the
world only through ``engine.ports``; never imports a store, a client or a web server.
"""
