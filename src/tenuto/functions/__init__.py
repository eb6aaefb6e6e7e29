"""Decorators, registry and the native Runner: how user functions are named, called and run."""
