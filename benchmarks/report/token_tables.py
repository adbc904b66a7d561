"""The tables and sentences about drawn tokens."""

from __future__ import annotations

from . import units
from .generation import Generation, TokenQuality
from .prediction import ORDER, Prediction
from .schema import Report
from .tables import DASH, Table, version_name
from .units import amount, count, plain, plural, share


def opening(generation: Generation) -> str:
    """How an image comes about, in figures."""
    positions, expected = generation.positions, generation.expected_evaluations
    temperature = generation.temperature
    # As the schema demands of a generation with tokens.
    assert positions is not None
    assert expected is not None
    assert temperature is not None
    return (
        f"The host starts from {count(positions)} hidden positions and draws their tokens with the denoiser, "
        f"in {amount(generation.evaluations)} evaluations on the mean ({amount(expected)} expected; "
        f"those that would draw nothing are left out){_refined(generation)}; the decoder then makes the image. "
        f"Temperature {units.significant(temperature)}, seed {generation.seed}."
    )


def _refined(generation: Generation) -> str:
    """How often a whole grid was drawn again, if it was."""
    turns = generation.refinements
    if not turns:
        return ""
    return f", {plural(turns, 'time')} of which half of all positions are hidden again and redrawn"


def prediction(report: Report, quality: TokenQuality) -> Prediction:
    """How well each version predicts tokens, and how alike float and chip choose them."""
    loud = exceeds_limit(quality)
    return Prediction("Tokens", _table(report, quality), _note(report, quality), loud, _codebook(quality))


def _table(report: Report, quality: TokenQuality) -> Table:
    head = ("Tokens", *(version_name(key, report.weight_bits) for key in ORDER))
    bounds = (quality.elbo_float, quality.elbo_int8, quality.elbo_ann)
    bits = [plain(value) if value is None else f"{value:.4f}" for value in bounds]  # as fine as their gap
    accuracies = (share(quality.masked_accuracy_float), share(quality.masked_accuracy_int8))
    rows = [
        ("ELBO, bits a token", *bits),
        ("Hidden positions guessed right", *accuracies, DASH),
        ("Hidden positions guessed like float", DASH, share(quality.token_agreement), DASH),
        ("Encoder chooses float's token", DASH, share(quality.encoder_token_agreement), DASH),
    ]
    return Table(head, rows)


def _codebook(quality: TokenQuality) -> str:
    return (
        f"{count(quality.used_codes)} of {count(quality.codes)} codes are used, perplexity "
        f"{units.significant(quality.perplexity)}; guessing by frequency alone takes "
        f"{units.significant(quality.unigram_bits)} bits a token. Several codes may stand for much the same patch, so "
        "the encoder is judged by its reconstructions, not by its tokens."
    )


def elbo_gap(quality: TokenQuality) -> float:
    """Bits a token that the integer program needs more than the float network."""
    return quality.elbo_int8 - quality.elbo_float


def exceeds_limit(quality: TokenQuality) -> bool:
    """Whether the integer program's bound is more than the limit above the float network's."""
    return not quality.within_limit or elbo_gap(quality) > quality.elbo_limit


def _note(report: Report, quality: TokenQuality) -> str:
    gap = f"{elbo_gap(quality):+.4f}".replace("-", "−")
    side = "beyond" if exceeds_limit(quality) else "within"
    chip = version_name("int8", report.weight_bits)
    limit = units.significant(quality.elbo_limit)
    return f"ELBO, {chip} against float SNN: {gap} bits a token, {side} the limit of {limit}."
