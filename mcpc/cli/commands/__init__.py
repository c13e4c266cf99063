"""The commands as they are typed: arguments, options and help of each. What one does is imported when it is run."""

__all__: list[str] = []
