"""The Pareto picture: quality against energy and against cores, a row of panels for each group."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, NullLocator

from ..benchmarks.report.figure_style import (
    CHIP,
    FLOAT,
    HOST,
    INK,
    MUTED,
    PIXELS_PER_INCH,
    RULE,
    SMALL_SIZE,
    new_figure,
    quiet_axes,
    set_title,
)
from ..benchmarks.report.units import joule
from ..export.whole_file import whole_file
from .grid import in_words
from .pareto import CORES, COSTS, Group, axes_of, cost_of, figures

TITLES = {
    "memory": "energy, 45 nm with memory traffic",
    "cmos45": "energy, 45 nm arithmetic",
    "loihi1": "energy, Loihi's published operations",
    CORES: "cores",
}
#: Okabe and Ito's, with a shape each.
LOOKS = ((CHIP, "o"), (FLOAT, "s"), ("#009e73", "^"), ("#cc79a7", "D"), (HOST, "v"), ("#e69f00", "P"))
PANEL, HEIGHT = 3.3, 3.2  # inches


def draw(groups: list[Group], title: str) -> Figure:
    """One row a group, one panel a cost."""
    figure = new_figure(PANEL * len(COSTS), HEIGHT * len(groups) + 0.6, constrained=True)
    set_title(figure, title)
    rows = figure.subfigures(len(groups), 1, squeeze=False)[:, 0]
    for row, group in zip(rows, groups, strict=True):
        apart = _shown_apart(group)
        for axes, cost in zip(row.subplots(1, len(COSTS), sharey=True), COSTS, strict=True):
            _panel(axes, group, cost, apart)
        row.axes[0].set_ylabel(group.title, fontsize=SMALL_SIZE, color=INK)
        handles = {label: handle for axes in row.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}  # fmt: skip
        row.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=min(len(handles), 6), frameon=False,
            fontsize=SMALL_SIZE,
        )  # fmt: skip
    return figure


def _shown_apart(group: Group) -> str | None:
    """The axis that colours and shapes tell apart: the first with few enough values; the labels say the others."""
    for axis in sorted(group.varying, key=lambda a: a not in ("recipe", "chip")):
        if len(_values(group, axis)) <= len(LOOKS):
            return axis
    return None


def _values(group: Group, axis: str) -> list[object]:
    return list({repr(v): v for v in (axes_of(r).get(axis) for r in group.results)}.values())


def _panel(axes: Axes, group: Group, cost: str, apart: str | None) -> None:
    quiet_axes(axes, "left", "bottom")
    axes.grid(color=RULE, linewidth=0.4, alpha=0.6)
    best = group.front(cost)
    values = [None] if apart is None else _values(group, apart)
    for value, (colour, marker) in zip(values, LOOKS, strict=False):
        own = [r for r in group.results if apart is None or axes_of(r).get(apart) == value]
        for fits, fill in ((True, colour), (False, "white")):
            some = [(x, figures(r)) for r in own if (x := cost_of(figures(r), cost)) is not None]
            some = [(x, f) for x, f in some if f.fits == fits]
            if some:
                words = (
                    ""
                    if apart is None
                    else group.label(own[0])
                    if len(group.varying) == 1
                    else in_words(apart, value)
                )
                axes.plot(
                    [x for x, _ in some], [f.quality[0].chip for _, f in some], marker, color=colour, markerfacecolor=fill,
                    markersize=5, linestyle="none", zorder=3,
                    label=", ".join(filter(None, (words or "chip", "" if fits else "does not fit one chip"))),
                )  # fmt: skip
    corners = [(cost_of(figures(r), cost), figures(r).quality[0].chip) for r in best]
    if corners:
        axes.plot(
            *zip(*corners, strict=True), color=MUTED, linewidth=1, drawstyle="steps-post", zorder=2, label="Pareto front"
        )  # fmt: skip
    _label(
        axes, [(cost_of(figures(r), cost), figures(r).quality[0].chip, group.label(r, apart)) for r in best]
    )
    _scales(axes, group, cost)


def _twin(group: Group, cost: str) -> str:
    """The ANN twin in words, since its point would leave little room for the others; nothing where there are several."""
    there = {
        (f.quality[0].ann, f.energy[cost].ann_joule, f.energy[cost].ann_int8_joule)
        for f in map(figures, group.results)
    }
    if len({(joules, int8) for _, joules, int8 in there}) > 1:
        return ""
    _, joules, int8 = next(iter(there))
    qualities = [quality for quality, _, _ in there]
    spread = " to ".join(f"{value:.3g}" for value in dict.fromkeys((min(qualities), max(qualities))))
    return f"\nANN twin: {spread} at {joule(joules)}" + ("" if int8 is None else f" (int8: {joule(int8)})")


def _label(axes: Axes, points: list[tuple[float | None, float, str]]) -> None:
    """Points of the front by name; those in the same place share a label."""
    places: dict[tuple[float, float], list[str]] = {}
    for x, y, text in points:
        if x is not None and text:
            words = places.setdefault((x, y), [])
            if text not in words:
                words.append(text)
    for (x, y), words in places.items():
        # No point lies below and left of the front.
        axes.annotate(
            " / ".join(words), (x, y), xytext=(-5, -3), textcoords="offset points", ha="right", va="center",
            fontsize=SMALL_SIZE - 1, color=INK, parse_math=False, zorder=4,
        )  # fmt: skip


def _scales(axes: Axes, group: Group, cost: str) -> None:
    """Room for the labels; logarithmic where values are far apart, with ticks at round numbers."""
    qualities = [figures(r).quality[0].chip for r in group.results]
    costs = [x for r in group.results if (x := cost_of(figures(r), cost)) is not None]
    axes.margins(x=0.36, y=0.12)
    for axis, values, name in ((axes.yaxis, qualities, "y"), (axes.xaxis, costs, "x")):
        far = 20 if name == "x" and cost == CORES else 4  # cores are few: ticks at whole numbers say more
        if values and min(values) > 0 and max(values) > far * min(values):
            axes.set(**{f"{name}scale": "log"})  # type: ignore[arg-type]
        axis.set_major_locator(
            MaxNLocator(6, steps=(1, 2, 2.5, 5, 10), integer=name == "x" and cost == CORES, min_n_ticks=1)
        )
        axis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_major_formatter(EngFormatter("" if cost == CORES else "J", sep=" "))
    if cost == CORES and costs and min(costs) == max(costs):
        axes.set_xlim(costs[0] - 1, costs[0] + 1)
    said = TITLES[cost] + ("" if cost == CORES else _twin(group, cost))
    axes.set_xlabel(said, fontsize=SMALL_SIZE, color=INK)


def write_picture(groups: list[Group], title: str, folder: Path) -> None:
    """``pareto.png`` and ``pareto.svg``, each whole or not at all."""
    figure = draw(groups, title)
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        buffer = BytesIO()
        figure.savefig(buffer, format=kind, dpi=PIXELS_PER_INCH, metadata=metadata)
        with whole_file(folder / f"pareto.{kind}") as temporary:
            temporary.write_bytes(buffer.getvalue())
