"""What export says no with."""

from __future__ import annotations


class ExportError(Exception):
    """A network or file that cannot be exported; the message names the node, the reason and the remedy."""
