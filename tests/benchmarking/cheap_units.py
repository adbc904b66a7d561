"""Units of work that cost nothing; nothing heavy is imported here, since many processes do."""

from __future__ import annotations

import sys
from pathlib import Path

from spikewright.benchmarking.runs import Unit

#: A cheap unit that leaves a half-written file behind when it is killed, as a build does.
UNIT = """
import hashlib, sys, time
from pathlib import Path
from spikewright.benchmarking.runs import end_with_parent, write_result

end_with_parent()
folder, key, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
(folder / "half-written").write_text(key)
print("at work", flush=True)
time.sleep(seconds)
write_result(folder, key, "done", result=hashlib.sha256(key.encode()).hexdigest())
"""


def unit(folder: Path, name: str, key: str, code: str, *arguments: str) -> Unit:
    return Unit(name, key, (sys.executable, "-c", code, str(folder / name), key, *arguments))


def units(folder: Path, count: int, seconds: float) -> list[Unit]:
    return [unit(folder, f"unit-{n}", f"key-{n}", UNIT, str(seconds)) for n in range(count)]
