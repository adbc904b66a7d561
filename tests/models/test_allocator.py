"""Memory that is freed stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Page faults of allocating, writing and freeing 64 MiB twenty times: 16,384 pages each time, or once.
SCRIPT = """
import resource, sys
import numpy as np
from spikewright.models.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(2):
    np.ones(1 << 23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1 << 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an option of glibc")
def test_a_block_that_is_freed_is_used_again_without_the_system() -> None:
    asked, kept = faults("asked"), faults("kept")
    if asked < 1000:  # another C library, or one that was told so from outside
        pytest.skip(f"the C library keeps freed memory by itself ({asked} page faults)")
    assert kept < asked / 20
