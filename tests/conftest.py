"""Settings for every test."""

from __future__ import annotations

import os

# Tensors here are tiny: on a busy machine the threads of an operation only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# How long an example takes on a machine that does other things as well says nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
