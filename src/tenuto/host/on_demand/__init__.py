"""A server that is there on demand: a small process waits, and the app's own runs while it is used.

The small one (``sleeper``) imports nothing but the standard library; it opens no store, runs no
code of the app and answers nobody itself.
"""
