"""The dashboard: the page on which people look at what goes on, as it was built into this folder.

Owns how it is served. What the page shows and does goes through the public HTTP API, so this room
knows no instance. The sources of the page stand in the repository's folder ``dashboard/``.
"""
