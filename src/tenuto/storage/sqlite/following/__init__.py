"""A continuous copy of a store: its pages once, then its log as it grows, frame by frame.

SQLite's write-ahead log is a file of frames: each is a page as a commit left it. A store is its
file and the frames in order. So a copy that has the pages of one moment and all frames since is
the store, up to the last frame; the frames carry checksums over all that was before, so half a
frame at the end is seen and left out.

What must not happen is that SQLite begins its log anew before a frame was copied. It never does
while somebody reads the store as it was before: so there is always one open read transaction, and
the next one begins before the last one ends (``source``). The copy is a folder (``folder``).
"""
