"""Programs of other kinds: apps written for Azure Durable Functions, in Python and JavaScript.

Owns how their functions are run for the engine (other Programs and Runners than the native one),
and the worker programs that run them, each with the app's own interpreter and packages. Every
adapter is a translation, never a second engine. Must never import a package of an app into the
host's process.
"""
