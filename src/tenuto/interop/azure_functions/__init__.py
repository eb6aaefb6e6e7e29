"""Apps written for Azure Functions in Python, run unchanged.

Owns the worker program that such an app runs in (``worker/``), and how the host finds it and the
app's interpreter. Must never import the app or its packages into the host's process.
"""
