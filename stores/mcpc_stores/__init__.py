"""The stores that come with mcpc, one module a scheme. They are found by their entry points, never imported by name."""

__all__: list[str] = []
