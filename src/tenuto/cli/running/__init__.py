"""``tenuto run`` and ``tenuto start``: a host in this process, from its beginning to its end."""
