"""Which points no other beats in quality and in cost: the Pareto front of each group of comparable points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .figures import Figures
from .grid import in_words
from .run import Result

#: What a point may cost, beside the energy models' joules.
CORES = "cores"
#: Costs in the order in which they are shown; energy models by their names.
COSTS = ("memory", "cmos45", "loihi1", CORES)


@dataclass(frozen=True)
class Group:
    """Points whose quality is the same measure on the same data set.

    Attributes
    ----------
    results : list of Result
        Those that have figures.
    varying : tuple of str
        Axes that have more than one value among them; ``recipe`` too.
    """

    measure: str
    dataset: str
    results: list[Result]
    varying: tuple[str, ...]

    @property
    def title(self) -> str:
        """What is compared."""
        recipes = dict.fromkeys(str(axes_of(result)["recipe"]) for result in self.results)
        return f"{self.dataset if len(recipes) > 1 else next(iter(recipes))}: {self.measure}"

    def label(self, result: Result, but: str | None = None) -> str:
        """What varies, of one point; without one of the axes where that is shown otherwise."""
        values = axes_of(result)
        words = [in_words(axis, values[axis]) for axis in self.varying if axis != but and axis in values]
        return ", ".join(words)

    def front(self, cost: str) -> list[Result]:
        """Points that no other beats, by rising cost."""
        priced = [(r, cost_of(figures(r), cost)) for r in self.results]
        there = [(r, x) for r, x in priced if x is not None]
        return [there[i][0] for i in front([(x, figures(r).quality[0].chip) for r, x in there])]


def figures(result: Result) -> Figures:
    """The figures of a point that has some."""
    assert result.record is not None
    assert result.record.figures is not None
    return result.record.figures


def axes_of(result: Result) -> Mapping[str, object]:
    """A point's values by axis, its recipe among them."""
    recipe = result.planned.recipe
    return {
        "recipe": result.planned.point.recipe if recipe is None else recipe.name,
        **result.planned.point.values,
    }


def cost_of(found: Figures, cost: str) -> float | None:
    """Joules of an energy model, or cores; None for a network without a place."""
    if cost == CORES:
        return None if found.cores is None else float(found.cores)
    return found.energy[cost].snn_joule


def groups(results: Sequence[Result]) -> list[Group]:
    """Finished points by what they can be compared in."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.status == "done" and result.planned.recipe is not None:
            key = (figures(result).quality[0].measure, result.planned.recipe.data.name)
            found.setdefault(key, []).append(result)
    return [Group(measure, dataset, some, _varying(some)) for (measure, dataset), some in found.items()]


def _varying(results: Sequence[Result]) -> tuple[str, ...]:
    values = [axes_of(result) for result in results]
    axes = dict.fromkeys(axis for some in values for axis in some)
    return tuple(axis for axis in axes if len({repr(some.get(axis)) for some in values}) > 1)


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Numbers of the points that no other beats: none is at most as large in both and smaller in one.

    Points that are the same in both are all kept.
    """
    order = sorted(range(len(points)), key=lambda i: points[i])
    kept: list[int] = []
    for i in order:
        if not kept or points[i][1] < points[kept[-1]][1] or points[i] == points[kept[-1]]:
            kept.append(i)
    return kept
