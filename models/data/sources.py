"""The official files: names, checksums, addresses and the folders they are looked for in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ZipSource:
    """A zip file that is fetched whole for the sake of some members.

    Attributes
    ----------
    url, md5, name : str
        Address, checksum and file name.
    folder : str
        Folder below the cache that the file is kept, and unpacked, in.
    members : tuple of str
        Paths inside the archive to unpack.
    """

    url: str
    md5: str
    name: str
    folder: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class OfficialFile:
    """One file as its publisher distributes it.

    Attributes
    ----------
    title : str
        Data set, as printed in messages.
    name, md5 : str
        File name and checksum.
    folders : tuple of str
        Folders below a data root to look in; a plain download goes to the first.
    source : str or ZipSource
        Address of the file itself, or the archive that holds it.
    """

    title: str
    name: str
    md5: str
    folders: tuple[str, ...]
    source: str | ZipSource


@dataclass(frozen=True)
class IdxPair:
    """The two IDX files of one split."""

    images: OfficialFile
    labels: OfficialFile


def _mnist_like(title: str, folder: str, base: str, md5: tuple[str, str, str, str]) -> dict[str, IdxPair]:
    names = (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
    files = [
        OfficialFile(title, name, check, (folder,), base + name)
        for name, check in zip(names, md5, strict=True)
    ]
    return {"train": IdxPair(files[0], files[1]), "test": IdxPair(files[2], files[3])}


_EMNIST_MD5 = {
    "emnist-letters-train-images-idx3-ubyte.gz": "8795078f199c478165fe18db82625747",
    "emnist-letters-train-labels-idx1-ubyte.gz": "c16de4f1848ddcdddd39ab65d2a7be52",
    "emnist-letters-test-images-idx3-ubyte.gz": "382093a19703f68edac6d01b8dfdfcad",
    "emnist-letters-test-labels-idx1-ubyte.gz": "d4108920cd86601ec7689a97f2de7f59",
}

EMNIST_ZIP = ZipSource(
    url="https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    md5="58c8d27c78d21e728a6bc7b3cc06412e",
    name="gzip.zip",
    folder="EMNIST",
    members=tuple(f"gzip/{name}" for name in _EMNIST_MD5),
)


def _emnist_letters() -> dict[str, IdxPair]:
    files = [
        # EMNIST/gzip is what unpacking the official archive leaves.
        OfficialFile("EMNIST Letters", name, check, ("EMNIST/raw", "EMNIST/gzip"), EMNIST_ZIP)
        for name, check in _EMNIST_MD5.items()
    ]
    return {"train": IdxPair(files[0], files[1]), "test": IdxPair(files[2], files[3])}


IDX_FILES: dict[str, dict[str, IdxPair]] = {
    "mnist": _mnist_like(
        "MNIST",
        "MNIST/raw",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    "fashion-mnist": _mnist_like(
        "Fashion-MNIST",
        "FashionMNIST/raw",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "kmnist": _mnist_like(
        "KMNIST",
        "KMNIST/raw",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
    "emnist-letters": _emnist_letters(),
}

CIFAR10 = OfficialFile(
    "CIFAR-10",
    "cifar-10-python.tar.gz",
    "c58f30108f718f92721af3b95e74349a",
    ("cifar10", "."),
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)

_NMNIST = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"

# Checksums and addresses as tonic 1.7.0 states them.
NMNIST_ZIPS = {
    "Train": OfficialFile(
        "N-MNIST",
        "train.zip",
        "20959b8e626244a1b502305a9e6e2031",
        ("nmnist",),
        _NMNIST + "39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
    ),
    "Test": OfficialFile(
        "N-MNIST",
        "test.zip",
        "69ca8762b2fe404d9b9bad1103e97832",
        ("nmnist",),
        _NMNIST + "05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
    ),
}

# Stand-ins, used only where the official file is on no disk. They have no official checksum.
KMNIST_PARTIAL_IMAGES = "KMNIST/partial_train/train-images-first7011-idx3-ubyte.gz"
KMNIST_PARTIAL_LABELS = "KMNIST/partial_train/train-labels-first7011-idx1-ubyte.gz"
CIFAR10_JPEG = "cifar10/cifar10_jpeg.tar.xz"
NMNIST_SUBSET = "nmnist/nmnist_first1000train_100test.tar.xz"
