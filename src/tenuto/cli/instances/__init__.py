"""``tenuto instances``: looking at instances, steering and deleting them, on a store or a host."""
