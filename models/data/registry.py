"""The image data sets that can be loaded by name."""

from dataclasses import dataclass

from .errors import UnknownDatasetError

SPLITS = ("train", "test")


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about one image data set.

    Attributes
    ----------
    name, title : str
        The name to load it by, and the name to print.
    channels, height, width : int
        Shape of one image; height and width in pixels.
    classes : int
        Number of classes; labels run from 0 to ``classes - 1``.
    train_count, test_count : int
        Images in each official split.
    licence, url, citation : str
        Terms of use as the source states them, home page, and what to cite.
    """

    name: str
    title: str
    channels: int
    height: int
    width: int
    classes: int
    train_count: int
    test_count: int
    licence: str
    url: str
    citation: str


_ALL = (
    DatasetInfo(
        name="digits",
        title="Optical Recognition of Handwritten Digits",
        channels=1,
        height=8,
        width=8,
        classes=10,
        train_count=1437,
        test_count=360,
        licence="CC BY 4.0",
        url="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        citation="E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998, doi:10.24432/C50P49",
    ),
    DatasetInfo(
        name="mnist",
        title="MNIST",
        channels=1,
        height=28,
        width=28,
        classes=10,
        train_count=60_000,
        test_count=10_000,
        licence="CC BY-SA 3.0 (usually given)",
        url="http://yann.lecun.com/exdb/mnist/",
        citation="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Proc. IEEE 86(11), 1998, "
        "doi:10.1109/5.726791",
    ),
    DatasetInfo(
        name="fashion-mnist",
        title="Fashion-MNIST",
        channels=1,
        height=28,
        width=28,
        classes=10,
        train_count=60_000,
        test_count=10_000,
        licence="MIT",
        url="https://github.com/zalandoresearch/fashion-mnist",
        citation="H. Xiao, K. Rasul and R. Vollgraf, 2017, arXiv:1708.07747",
    ),
    DatasetInfo(
        name="kmnist",
        title="Kuzushiji-MNIST",
        channels=1,
        height=28,
        width=28,
        classes=10,
        train_count=60_000,
        test_count=10_000,
        licence="CC BY-SA 4.0",
        url="http://codh.rois.ac.jp/kmnist/",
        citation="T. Clanuwat et al., 2018, arXiv:1812.01718, doi:10.20676/00000341",
    ),
    DatasetInfo(
        name="emnist-letters",
        title="EMNIST Letters",
        channels=1,
        height=28,
        width=28,
        classes=26,
        train_count=124_800,
        test_count=20_800,
        licence="not stated (derived from NIST Special Database 19)",
        url="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        citation="G. Cohen, S. Afshar, J. Tapson and A. van Schaik, 2017, arXiv:1702.05373",
    ),
    DatasetInfo(
        name="cifar10",
        title="CIFAR-10",
        channels=3,
        height=32,
        width=32,
        classes=10,
        train_count=50_000,
        test_count=10_000,
        licence="not stated",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
        citation="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, "
        "University of Toronto, 2009",
    ),
)

DATASETS: dict[str, DatasetInfo] = {info.name: info for info in _ALL}
"""Every data set by name, in the order in which to list them."""


def dataset_info(name: str) -> DatasetInfo:
    """Return the registry entry of a data set.

    Parameters
    ----------
    name : str
        A key of `DATASETS`.

    Returns
    -------
    DatasetInfo

    Raises
    ------
    UnknownDatasetError
        When there is no such data set; the message lists those there are.
    """
    try:
        return DATASETS[name]
    except KeyError:
        known = ", ".join(DATASETS)
        raise UnknownDatasetError(f"there is no data set {name!r}: choose one of {known}") from None
