"""A task hub in the Azure Storage provider's layout: tables for instances and history, blobs for
what is too long for them. Written by the mirror, read by the import; never a backend.

``layout`` names and keys, ``rows`` our history in its rows, ``events`` its rows in our history,
``mirrored_hub`` and ``stopped_hub`` one in an account, ``mirror`` and ``importing`` what is done.
"""
