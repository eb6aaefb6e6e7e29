"""What the folder of an Azure Functions app says, before and around running it.

Owns reading it: language, ``host.json``, ``local.settings.json``, app settings, interpreter and
packages, and which of its bindings are known. Runs nothing of the app; the values of settings never
come into a message (promise ``bad_input_is_refused_whole``).
"""
