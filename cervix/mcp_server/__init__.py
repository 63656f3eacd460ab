"""The Model Context Protocol: a server that reads and never writes, for language-model clients on this computer.

It runs as ``python -m cervix mcp`` and nowhere else. ``tools`` is the one list of what can be asked; ``server`` speaks the
protocol and, with ``stdio``, alone knows the package ``mcp``.
"""
