"""The picture over all models: energy beside the int8 twin against quality beside the twin."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from ..report.figure_style import PIXELS_PER_INCH, SMALL_SIZE, TEXT_SIZE, WIDTH
from ..report.units import significant
from .schema import Overview

_DPI = 200
_NARROW = 4.0  # inches: a phone
#: Per cent; every other one on a phone, 0 among them.
_TICKS: Final = (
    -100_000, -10_000, -1000, -300, -100, -50, -20, -10, 0, 10, 20, 50, 100, 300, 1000, 3000, 10_000, 100_000,
)  # fmt: skip
_MARKERS: Final = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class _Palette:
    paper: str
    ink: str
    muted: str
    rule: str
    better: str
    series: tuple[str, ...]


#: Okabe and Ito's colours; of the blue, the lighter one on a dark page.
LIGHT: Final = _Palette(
    "#ffffff", "#1f2328", "#5b6470", "#c9ced6", "#e4f3ee", ("#0072b2", "#d55e00", "#009e73")
)
DARK: Final = _Palette(
    "#16191d", "#e6e9ed", "#a3abb5", "#454c55", "#123329", ("#56b4e9", "#e69f00", "#2fbf94")
)


@dataclass(frozen=True)
class Comparison:
    """The picture for wide and narrow, light and dark pages, as PNG.

    Attributes
    ----------
    points : dict of str to bytes
        By ``wide-light`` and so on.
    width : int
        Of the wide one on a page, in pixels.
    """

    points: dict[str, bytes]
    width: int


@dataclass(frozen=True)
class _Point:
    number: int
    worse_percent: float
    ratios: dict[str, float]


def comparison(overview: Overview) -> Comparison | None:
    """Draw every model that has a twin; None where none has."""
    points = _points(overview)
    if not points:
        return None
    drawn = {
        f"{size}-{name}": _draw(points, palette, width)
        for size, width in (("wide", WIDTH), ("narrow", _NARROW))
        for name, palette in (("light", LIGHT), ("dark", DARK))
    }
    return Comparison(drawn, round(WIDTH * PIXELS_PER_INCH))


def _points(overview: Overview) -> list[_Point]:
    found = []
    for entry in overview.models:
        result = entry.result
        if result is None or not result.quality or result.quality[0].chip_to_ann_percent is None:
            continue
        quality = result.quality[0]
        percent = quality.chip_to_ann_percent
        assert percent is not None
        ratios = {row.title: row.ratio_int8 for row in result.energy if row.ratio_int8 is not None}
        if ratios:
            found.append(_Point(entry.number, percent if quality.lower_is_better else -percent, ratios))
    return found


def _draw(points: list[_Point], palette: _Palette, width: float) -> bytes:
    height = 4.6 if width > _NARROW else 4.8
    figure = Figure(figsize=(width, height), facecolor=palette.paper, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor(palette.paper)
    axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=10, linscale=0.6)
    titles = list(dict.fromkeys(title for point in points for title in point.ratios))
    for index, title in enumerate(titles):
        shown = [(p.worse_percent, p.ratios[title]) for p in points if title in p.ratios]
        axes.plot(
            *zip(*shown, strict=True), _MARKERS[index % len(_MARKERS)], ms=6, ls="", label=title,
            color=palette.series[index % len(palette.series)], zorder=3,
        )  # fmt: skip
    for point in points:
        low, high = min(point.ratios.values()), max(point.ratios.values())
        axes.plot([point.worse_percent] * 2, [low, high], color=palette.rule, lw=1.5, zorder=2)
    _number(axes, points, palette)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.5), max(high * 2, 2))
    left, right = axes.get_xlim()
    axes.set_xlim(min(left, -10), max(right * 1.4, 10))
    few = _TICKS if width > _NARROW else _TICKS[::2]
    axes.set_xticks([tick for tick in few if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]])
    # Where the spiking network wins: less energy at equal or better quality.
    axes.axhspan(axes.get_ylim()[0], 1, xmax=_share(axes, 1.0), color=palette.better, lw=0, zorder=0)
    axes.axhline(1, color=palette.ink, lw=1)
    axes.axvline(0, color=palette.ink, lw=1)
    axes.set_xlabel(
        "quality of the chip: error beside its twin's, % (left of 0: better)",
        fontsize=SMALL_SIZE,
        color=palette.ink,
    )
    axes.set_ylabel("energy of the SNN / int8 twin", fontsize=TEXT_SIZE, color=palette.ink)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, ",.0f")))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", color=palette.rule, labelcolor=palette.ink, labelsize=SMALL_SIZE)
    for spine in axes.spines.values():
        spine.set_color(palette.rule)
    axes.text(
        0.01, 0.015, "the SNN wins here", transform=axes.transAxes, fontsize=SMALL_SIZE, color=palette.muted
    )
    figure.legend(
        loc="outside lower left", ncols=3 if width > _NARROW else 1, fontsize=SMALL_SIZE, frameon=False, labelcolor=palette.ink
    )  # fmt: skip
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _number(axes: Axes, points: list[_Point], palette: _Palette) -> None:
    """Write the models' numbers over their points, side by side where points lie together."""
    groups: list[list[_Point]] = []
    for point in sorted(points, key=lambda p: p.worse_percent):
        top = _place(axes, point)
        if (
            groups
            and abs(_place(axes, groups[-1][0])[0] - top[0]) < 0.02
            and abs(_place(axes, groups[-1][0])[1] - top[1]) < 0.04
        ):
            groups[-1].append(point)
        else:
            groups.append([point])
    for group in groups:
        highest = max(max(point.ratios.values()) for point in group)
        axes.annotate(
            ", ".join(str(point.number) for point in group), (group[0].worse_percent, highest), (0, 6),
            textcoords="offset points", ha="center", fontsize=TEXT_SIZE, color=palette.ink, zorder=4,
        )  # fmt: skip


def _place(axes: Axes, point: _Point) -> tuple[float, float]:
    """Where the top of a point lies, in shares of the axes."""
    at = axes.transData.transform((point.worse_percent, max(point.ratios.values())))
    x, y = axes.transAxes.inverted().transform(at)
    return float(x), float(y)


def _share(axes: Axes, percent: float) -> float:
    """Where a percentage lies along the axis."""
    return float(axes.transAxes.inverted().transform(axes.transData.transform((percent, 1)))[0])
