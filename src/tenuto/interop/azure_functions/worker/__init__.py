"""The worker: a program that loads an app for Azure Functions and runs its functions.

Runs with the app's own interpreter, any CPython from 3.9 on, which has no Tenuto: it takes nothing
but the standard library and the app's packages, and those only after the app was found. Speaks
``docs/worker-protocol.md`` with the host. Keeps nothing that a further worker of the same app would
have to know.
"""
