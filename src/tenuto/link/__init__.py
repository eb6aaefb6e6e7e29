"""Links between hubs: what waits for another hub is carried there, and what it sends is taken in.

Owns the two ends of a link: who dials, who is dialled, and what both do with what comes. What is to
be sent is written by the engine's commits and read here. Must never take a message in without its
place, never forget one that the other hub has not confirmed, and never be in the way of a commit.
"""
