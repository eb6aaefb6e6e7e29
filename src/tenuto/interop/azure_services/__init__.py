"""Azure Storage as functions use it: its queues, blobs and tables, by the packages of Azure.

Imports those packages only when a connection is used: few apps do, and they are an extra.
"""
