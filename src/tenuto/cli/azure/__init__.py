"""``tenuto azure``: for people who come with an app written for Azure Functions.

Shows what ``interop/azure_app`` found and decides nothing itself.
"""
