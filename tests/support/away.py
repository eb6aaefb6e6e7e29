"""What a function of users meets when the store of its host is away."""

from tenuto import StorageUnavailableError
from tenuto.client.causes import client_of_host
from tenuto.client.own_store import mark_refusal


def own_store_away(text: str = "away") -> StorageUnavailableError:
    """The error of the host's client; for functions that run on a host."""
    error = StorageUnavailableError(text)
    mark_refusal(error, client_of_host.get().gateway)
    return error
