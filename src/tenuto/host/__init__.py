"""Puts the rooms together: settings, lifecycle, App and Host."""
