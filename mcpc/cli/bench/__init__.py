"""What `mcpc bench` is made of: the server, the measuring, the table."""

__all__: list[str] = []
