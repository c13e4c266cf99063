"""What `mcpc demo` is made of: the server, a lane for each transport, how it looks, and the show."""

__all__: list[str] = []
