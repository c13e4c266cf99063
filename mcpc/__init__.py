"""Background tools for MCP: a tool answers at once, works on, and calls back, over any transport, picked by URI."""
