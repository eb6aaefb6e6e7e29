"""Tenuto's own API under ``/admin``: exact rows, live updates, facts and figures of the server."""
