"""Intel's Lava as the outside oracle, in a child process with a time limit."""

from .compat import available
from .driver import LavaError, LavaUnavailable, run

__all__ = ["LavaError", "LavaUnavailable", "available", "run"]
