"""How good the integer system is beside the float networks and the ANN twins: tokens, bounds, images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..diffusion_stages import extract_tokens
from ..generating.made import Made, in_parts, weights_digest
from ..hardware import host, tokens
from ..hardware.emulator import Emulator
from ..models.absorbing import Predictor, elbo, predictor, unigram_bits
from ..models.codebook import perplexity
from ..models.sampler import sample
from ..models.sdid import Denoiser
from ..models.vq_ann import VQVAE
from ..models.vq_svae import VQSVAE
from ..workspace import Workspace
from .evaluators import ChipEvaluator
from .generation import Generated
from .system import System

Images = NDArray[np.float32]
Progress = Callable[[int, int], None]
_BATCH = 100


@dataclass(eq=False)
class _Remembering:
    """A predictor that keeps which token it finds likeliest where something is hidden."""

    predict: Predictor
    codes: int
    likeliest: list[NDArray[np.int64]] = field(default_factory=list)

    def __call__(self, grids: NDArray[np.int64]) -> NDArray[np.float64]:
        logits = np.asarray(self.predict(grids), np.float64)
        self.likeliest.append(logits.argmax(1)[grids == self.codes])
        return logits


@dataclass(frozen=True)
class TokenFigures:
    """Prediction of tokens by the float network, the integer program and the ANN twin (of its own tokens).

    Attributes
    ----------
    elbo_float, elbo_int8, elbo_ann, unigram_bits : float
        Bits a token.
    token_agreement : float
        Share of hidden positions where integers and floats find the same token likeliest.
    encoder_token_agreement : float
        Share of positions of test images where the integer encoder chooses the float encoder's code.
    grids : int
        Test grids that were scored.
    """

    codes: int
    used_codes: int
    perplexity: float
    unigram_bits: float
    elbo_float: float
    elbo_int8: float
    elbo_ann: float
    unigram_bits_ann: float
    masked_accuracy_float: float
    masked_accuracy_int8: float
    token_agreement: float
    encoder_token_agreement: float
    grids: int


def token_figures(
    workspace: Workspace, system: System, evaluator: ChipEvaluator, grids: int, chosen: NDArray[np.int64]
) -> TokenFigures:
    """Score the same partly hidden test grids with every version.

    Parameters
    ----------
    grids : int
        Test grids to score.
    chosen : ndarray of int64
        Codes of all test images by the integer encoder.
    """
    vq, vq_ann = workspace.network("vq"), workspace.network("vq_ann")
    sdid, sdid_ann = workspace.network("sdid"), workspace.network("sdid_ann")
    assert isinstance(vq, VQSVAE)
    assert isinstance(vq_ann, VQVAE)
    assert isinstance(sdid, Denoiser)
    assert isinstance(sdid_ann, Denoiser)
    codes = system.codes
    whole = extract_tokens(vq, workspace.test_images)
    some = whole[:grids]
    floats, integers = _Remembering(predictor(sdid), codes), _Remembering(evaluator.logits, codes)
    by_float, by_chip = (elbo(predict, some, codes, batch=_BATCH) for predict in (floats, integers))
    own = extract_tokens(vq_ann, workspace.test_images)
    by_ann = elbo(predictor(sdid_ann), own[:grids], codes, batch=_BATCH)
    same = np.concatenate(floats.likeliest) == np.concatenate(integers.likeliest)
    value, used = perplexity(torch.from_numpy(whole), codes)
    return TokenFigures(
        codes=codes,
        used_codes=int(used),
        perplexity=float(value),
        unigram_bits=unigram_bits(whole),
        elbo_float=by_float.bits,
        elbo_int8=by_chip.bits,
        elbo_ann=by_ann.bits,
        unigram_bits_ann=unigram_bits(own),
        masked_accuracy_float=by_float.masked_accuracy,
        masked_accuracy_int8=by_chip.masked_accuracy,
        token_agreement=float(same.mean()),
        encoder_token_agreement=float((whole == chosen).mean()),
        grids=len(some),
    )


@dataclass(frozen=True, eq=False)
class Reconstructions:
    """Test images through every version, and the codes that the integer encoder chose."""

    images: dict[str, Images]
    chosen: NDArray[np.int64]


def reconstruct(workspace: Workspace, system: System, progress: Progress) -> Reconstructions:
    """Encode and decode all test images: float network, integer programs with the host between them, ANN twin."""
    images = workspace.test_images
    vq, vq_ann = workspace.network("vq"), workspace.network("vq_ann")
    assert isinstance(vq, VQSVAE)
    assert isinstance(vq_ann, VQVAE)
    encoder, decoder = Emulator(system.encoder.program), Emulator(system.decoder.program)
    last = system.encoder.program.populations[-1].name
    made: dict[str, list[Images]] = {"ann": [], "float": [], "int8": []}
    chosen = []
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        with torch.no_grad():
            made["float"].append(vq(torch.from_numpy(batch)).images.numpy())
            made["ann"].append(vq_ann(torch.from_numpy(batch)).numpy())
        inputs, _ = host.encode(encoder.program, batch)
        spikes = encoder.run(inputs, "spikes", [last]).spikes[last]
        chosen.append(tokens.choose(encoder.program, spikes))
        inputs, _ = host.encode(decoder.program, tokens.look_up(decoder.program, chosen[-1]))
        made["int8"].append(host.decode(decoder.program, decoder.run(inputs)))
        progress(start + len(batch), len(images))
    return Reconstructions(
        {name: np.concatenate(parts) for name, parts in made.items()}, np.concatenate(chosen)
    )


def generate_twins(
    workspace: Workspace,
    system: System,
    made: Generated,
    folder: Path,
    *,
    seed: int,
    temperature: float,
    refinements: int = 0,
    progress: Progress,
) -> dict[str, Images]:
    """As many images from the float networks and from the ANN twins, by the same random numbers; parts are kept in a folder."""
    found = {"int8": made.images}
    versions = {"float": ("sdid", "vq"), "ann": ("sdid_ann", "vq_ann")}
    for index, (name, (denoiser, autoencoder)) in enumerate(versions.items()):
        network, decoder = workspace.network(denoiser), workspace.network(autoencoder)
        assert isinstance(decoder, VQSVAE | VQVAE)

        def make(
            first: int, many: int, done: Progress, network: Any = network, decoder: Any = decoder
        ) -> Made:
            drawn = sample(
                predictor(network), many, system.grid, system.codes, seed=seed, temperature=temperature,
                refinements=refinements, first=first, batch=_BATCH, report=done,
            )  # fmt: skip
            parts = []
            with torch.no_grad():
                for part in torch.from_numpy(drawn.tokens).split(_BATCH):
                    out = decoder.decode(part)
                    parts.append((out[0] if isinstance(out, tuple) else out).numpy())
            return Made.by_floats(np.concatenate(parts), drawn.evaluations)

        found[name] = in_parts(
            Made, make, len(made.images), folder / name, anew=True,
            key={
                "weights": weights_digest(network, decoder), "seed": seed, "temperature": temperature,
                "refinements": refinements,
            },
            report=lambda done, of, index=index: progress(index * of + done, 2 * of),  # type: ignore[misc]
        ).images  # fmt: skip
    return found
