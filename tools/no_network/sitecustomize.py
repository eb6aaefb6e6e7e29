"""Refuses sockets that leave this machine, in every Python that has this folder on PYTHONPATH."""

import sys

_HERE = ("127.", "::1", "localhost")
_CONNECTING = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"}


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event not in _CONNECTING:
        return
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    # A path, or none at all, is a socket of this machine; a name is looked up over the network.
    is_path = event != "socket.getaddrinfo" and not isinstance(address, tuple)
    if not (is_path or host is None or str(host).startswith(_HERE)):
        raise PermissionError(f"the network is off here: no connection to {address}")


sys.addaudithook(_refuse)
