"""The ASGI application as a whole, what one connection may use up, and its socket."""
