"""Measures one model of the zoo into its folder: what a process of its own runs for ``spikewright benchmark``."""

from __future__ import annotations

import argparse
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path

from rich.console import Console

from ..benchmarks.overview.result import result_of
from ..benchmarks.overview.schema import Command, Result
from ..errors import USER_ERRORS
from ..hardware.chip import load_chip
from ..models.classifier_recipe import CLASSIFIERS
from ..models.data import load_images
from ..models.recipe import DataRecipe
from ..progress import Steps
from ..systems import deployment_of
from ..workspace import Workspace
from . import budget, classifiers
from .commands import anew
from .pictures import draw_cores, draw_divergence, main_part, pictures_of
from .runs import end_with_parent, write_result


def measure(name: str, folder: Path, full: bool, lava: bool, steps: Steps) -> Result:
    """Deploy a shipped recipe within the budget, draw what its report lacks, and take its figures."""
    recipe = budget.budgeted(name, full)
    place = Workspace(recipe, folder)
    job = deployment_of(place)
    lowered = job.export(place, steps)
    found = job.verify(place, lowered, steps, use_lava=lava)
    report = job.report(place, lowered, found, steps)
    part = main_part(place, lowered)
    with steps("Core map and divergence"):
        draw_cores(part.lowered.program, load_chip(recipe.deploy.chip), folder)
        draw_divergence(part, folder)
    images = len(load_images(recipe.data.name, "test").labels) if isinstance(recipe.data, DataRecipe) else 0
    again = anew(name, folder.parent, full=full, lava=lava)
    return result_of(
        report,
        budget=budget.rows(name, recipe, images),
        commands=[
            Command(what="every figure of this section, measured again", command=again),
            Command(what="the same on all samples of its recipe", command=f"spikewright deploy {name}"),
            Command(what="checks of equivalence", command=f"spikewright verify {folder}"),
            Command(what="cores and what binds them", command=f"spikewright fit {part.folder}"),
        ],
        pictures=pictures_of(report, part, folder, again),
        page=f"{folder.name}/{place.report.with_suffix('.html').name}",
    )


def main() -> None:
    """Measure and leave ``unit.json``, whatever happens short of a signal."""
    end_with_parent()
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("key")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--no-lava", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module=r"(snntorch|torch|lightning_fabric|nir|nirtorch|norse)(\..*)?")
    steps, began = Steps(Console(stderr=True, width=120)), time.perf_counter()
    work = classifiers.measure if options.name in CLASSIFIERS else measure
    try:
        found = work(options.name, options.folder, options.full, not options.no_lava, steps)
    except Exception as error:
        traceback.print_exc()
        words = str(error) if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: {error}"
        write_result(options.folder, options.key, "failed", words=words)
        sys.exit(1)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    write_result(
        options.folder, options.key, "done", seconds=time.perf_counter() - began,
        cpu_seconds=sum(usage.ru_utime + usage.ru_stime for usage in used),
        result=found.model_dump(mode="json", by_alias=True),
    )  # fmt: skip


if __name__ == "__main__":
    main()
