"""An Azure Functions app as a program of a host.

Owns the ports: ``program`` is what a host must know of an app, ``runner`` and ``activities`` run
its durable functions in workers, ``calls`` and ``streaming`` those that a request or a schedule
starts. What its folder says is read in ``folder``. Nothing of an app is ever imported into the
host's process.
"""
