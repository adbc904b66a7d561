"""Small image classifier; the layer before its classes is a feature space for Frechet distances."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

FEATURES = 64  # 2,000 images and more settle a covariance of so many


class FeatureClassifier(nn.Module):
    """Three stride-2 convolutions, a linear layer of 64 features, a linear layer of classes.

    Parameters
    ----------
    image : tuple of int
        Height and width in pixels; any.
    in_channels, classes : int
        Of the data set.
    """

    def __init__(self, image: tuple[int, int], in_channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        height, width = image
        for cin, cout in itertools.pairwise((in_channels, 16, 32, 64)):
            layers += [nn.Conv2d(cin, cout, 3, stride=2, padding=1), nn.BatchNorm2d(cout), nn.ReLU()]
            height, width = -(-height // 2), -(-width // 2)
        self.trunk = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * height * width, FEATURES))
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, classes))

    def features(self, images: Tensor) -> Tensor:
        """Features (N, 64), before their ReLU, of images (N, C, H, W) in [-1, 1]."""
        features: Tensor = self.trunk(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Class logits (N, classes)."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def losses(self, images: Tensor, rate_penalty: float = 0.0, *, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of a batch; there are no spikes to penalise."""
        logits = self(images)
        entropy = nn.functional.cross_entropy(logits, labels)
        return {"total": entropy, "accuracy": (logits.argmax(1) == labels).float().mean()}

    def parameter_groups(self, lr: float) -> list[dict[str, object]]:
        """All parameters at one learning rate."""
        return [{"params": list(self.parameters()), "lr": lr}]
