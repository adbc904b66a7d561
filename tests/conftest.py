"""Settings for every test."""

from __future__ import annotations

import os

# Tensors here are tiny: on a busy machine the threads of an operation only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
