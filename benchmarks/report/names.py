"""Names from users' files, made safe to show: no control characters, no endless lines."""

from __future__ import annotations


def printable(text: str) -> str:
    """Replace control and other unprintable characters, which could steer a terminal, by a visible mark."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else "\ufffd" for c in text)


def shorten(text: str, length: int = 34) -> str:
    """Cut a name in its middle, since layer names differ at both ends."""
    text = printable(text)
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:]}"
