"""Numbers as words: one way to print a count, an energy, a share or a time in every view of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

MISSING = "not measured"
_COUNT_PREFIXES = {0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_UNIT_PREFIXES = {
    -18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_EXACT_BELOW = 10**7  # above it a table column grows wider than its digits are worth; the JSON has them all


def significant(value: float | Decimal, form: str = ".4g") -> str:
    """Format a number, with a power of ten instead of the letter e: ``3.1×10⁻⁹``."""
    mantissa, letter, exponent = f"{value:{form}}".partition("e")
    mantissa = mantissa.rstrip(".").replace("-", "−")
    return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}" if letter else mantissa


def engineering(value: float, prefixes: Mapping[int, str], digits: int = 3) -> tuple[str, str]:
    """Split a number into a mantissa of ``digits`` significant digits and a prefix.

    Returns
    -------
    tuple of str
        Mantissa and prefix; beyond the prefixes, a mantissa in scientific notation and no prefix.
    """
    if value == 0:
        return "0", ""
    # Rounding first: 999.96 is 1.00 k at three digits, not 1000.
    rounded = float(f"{value:.{digits - 1}e}")
    magnitude = math.floor(math.log10(abs(rounded)))
    exponent = magnitude // 3 * 3
    if exponent not in prefixes:
        return significant(value, f".{digits - 1}e"), ""
    decimals = max(digits - 1 - (magnitude - exponent), 0)
    return significant(rounded / 10.0**exponent, f".{decimals}f"), prefixes[exponent]


def count(value: int) -> str:
    """A whole number: exact with thousands separators, or with a prefix from ten million on."""
    if abs(value) < _EXACT_BELOW:
        return f"{value:,}"
    if abs(value) >= 10**21:
        return significant(Decimal(value), ".3e")
    return " ".join(engineering(float(value), _COUNT_PREFIXES, 4)).rstrip()


def plural(number: int, noun: str) -> str:
    """A number of things."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def amount(value: float) -> str:
    """A mean count: three significant digits or whole numbers, with a prefix from ten million on."""
    if abs(value) >= _EXACT_BELOW:
        return " ".join(engineering(value, _COUNT_PREFIXES, 4)).rstrip()
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return short(value)


def short(value: float) -> str:
    """Three significant digits and a prefix, for labels in pictures."""
    if 0 < abs(value) < 1:
        return significant(value, ".3g")
    mantissa, prefix = engineering(value, _COUNT_PREFIXES)
    if "×" not in mantissa and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa} {prefix}".rstrip()


def joule(value: float) -> str:
    """An energy with its prefix: ``1.23 µJ``."""
    mantissa, prefix = engineering(value, _UNIT_PREFIXES)
    return f"{mantissa} {prefix}J"


def seconds(value: float) -> str:
    """A time: prefixed seconds, or minutes and hours when long."""
    if value < 120:
        mantissa, prefix = engineering(value, _UNIT_PREFIXES)
        return f"{mantissa} {prefix}s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def share(value: float) -> str:
    """A share in per cent that never rounds to all or nothing: 0.99999 is ``> 99.99 %``, not 100 %."""
    if 0.9999 < value < 1:
        return "> 99.99 %"
    if 0 < value < 0.0001:
        return "< 0.01 %"
    return f"{100 * value:.2f} %"


def signed_percent(value: float) -> str:
    """A difference that is already in per cent, with its sign."""
    return f"{value:+.2f} %".replace("-", "−")


def fixed(value: float, decimals: int, *, sign: bool = False) -> str:
    """A number with so many decimals, which lines up in a column; huge ones with a power of ten."""
    form = f".{decimals}f" if abs(value) < _EXACT_BELOW else f".{decimals}e"
    return significant(value, f"+{form}" if sign else form)


def rate(value: float) -> str:
    """Spikes a neuron and time step."""
    return "0" if value == 0 else significant(value, "#.3g")


def plain(value: float | None) -> str:
    """A number without a unit, or that it was not measured."""
    return MISSING if value is None else significant(value)


def with_interval(value: float, half_width: float) -> str:
    """A mean and the half width of its interval, to two digits of the latter."""
    if half_width == 0 or not 1e-6 < half_width < 1e6 or abs(value) > 1e6:
        return f"{significant(value)} ± {significant(half_width, '.2g')}"
    decimals = max(1 - math.floor(math.log10(half_width)), 0)
    return f"{value:.{decimals}f} ± {half_width:.{decimals}f}"


def amount_interval(value: float, half_width: float) -> str:
    """A mean count and the half width of its interval, under one prefix."""
    return _prefixed_interval(value, half_width, _COUNT_PREFIXES)


def joule_interval(value: float, half_width: float) -> str:
    """A mean energy and the half width of its interval, under one prefix."""
    return _prefixed_interval(value, half_width, _UNIT_PREFIXES, "J")


def _prefixed_interval(value: float, half_width: float, prefixes: Mapping[int, str], unit: str = "") -> str:
    _, prefix = engineering(value, prefixes)
    scale = 10.0 ** next(exponent for exponent, name in prefixes.items() if name == prefix)
    return f"{with_interval(value / scale, half_width / scale)} {prefix}{unit}".rstrip()
