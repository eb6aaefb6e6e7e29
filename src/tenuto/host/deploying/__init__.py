"""Versions of an app beside each other on disk, and the line between a server and its child."""
