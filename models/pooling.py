"""Sum pooling: the average pooling that NIR's ``SumPool2d`` states, without its division."""

from __future__ import annotations

from torch import Tensor, nn


class SumPool2d(nn.Module):
    """Sum over windows of (N, C, H, W).

    Parameters
    ----------
    kernel_size, stride, padding : int or tuple of int
        Height and width; the stride is the kernel size unless given.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size)
        self.stride = self.kernel_size if stride is None else pair(stride)
        self.padding = pair(padding)

    def forward(self, x: Tensor) -> Tensor:
        """Sums of windows; borders are padded with zeros."""
        height, width = self.kernel_size
        pooled = nn.functional.avg_pool2d(x, self.kernel_size, self.stride, self.padding)
        return pooled * (height * width)


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width; one number stands for both."""
    return (value, value) if isinstance(value, int) else value
