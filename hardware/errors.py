"""Errors of running a program, in a file that loads nothing."""

from __future__ import annotations


class SessionError(Exception):
    """A session was used wrongly or lost its backend; the message names the thing and the remedy."""
