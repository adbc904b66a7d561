"""The pulse data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...data.errors import MissingFileError, UnknownDatasetError
from ...data.fetch import DATA_VARIABLE, search_roots
from ..box import Box
from ..recording import Recording
from . import mmpd, pure, ubfc_phys, ubfc_rppg
from .entry import Entry, Size


@dataclass(frozen=True)
class PulseSetInfo:
    """Facts about a data set.

    Attributes
    ----------
    name, title : str
        The name to open it by, and the name to print.
    folders : tuple of str
        What its folder may be called below the data folder.
    layout : str
        What lies in that folder.
    access, citation : str
        How one obtains it, and what to cite.
    list_entries : callable
        From a folder to its recordings.
    read_entry : callable
        ``read(entry, size=..., box=...)``.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    layout: str
    access: str
    citation: str
    list_entries: Callable[[Path], list[Entry]]
    read_entry: Callable[..., Recording]


@dataclass(frozen=True)
class PulseSet:
    """A data set found on disk: facts and recordings that can be read one at a time."""

    info: PulseSetInfo
    root: Path
    entries: tuple[Entry, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom it shows, in the order of the recordings."""
        return tuple(dict.fromkeys(entry.subject for entry in self.entries))

    def read(self, entry: Entry, *, size: Size = None, box: Box | None = None) -> Recording:
        """Read a recording; see :func:`.ubfc_rppg.read`."""
        return self.info.read_entry(entry, size=size, box=box)


_ALL = (
    PulseSetInfo(
        "ubfc-rppg",
        "UBFC-rPPG",
        ("UBFC-rPPG", "ubfc-rppg", "UBFC_rPPG", "UBFC_DATASET"),
        "DATASET_2/subject<n>/vid.avi and ground_truth.txt, or DATASET_1/<folder>/vid.avi and gtdump.xmp",
        "a download linked from https://sites.google.com/view/ybenezeth/ubfcrppg",
        "S. Bobbia et al., Pattern Recognition Letters 124, 2019, doi:10.1016/j.patrec.2017.10.017",
        ubfc_rppg.recordings,
        ubfc_rppg.read,
    ),
    PulseSetInfo(
        "pure",
        "PURE",
        ("PURE", "pure"),
        "<SS-TT>/<SS-TT>/Image<nanoseconds>.png and <SS-TT>/<SS-TT>.json or <SS-TT>.json",
        "a signed request to the Neuroinformatics and Cognitive Robotics Lab of TU Ilmenau",
        "R. Stricker, S. Müller and H.-M. Gross, RO-MAN 2014, doi:10.1109/ROMAN.2014.6926392",
        pure.recordings,
        pure.read,
    ),
    PulseSetInfo(
        "ubfc-phys",
        "UBFC-Phys",
        ("UBFC-Phys", "ubfc-phys", "UBFC_Phys"),
        "s<n>/vid_s<n>_T<task>.avi and bvp_s<n>_T<task>.csv",
        "a request at https://sites.google.com/view/ybenezeth/ubfc-phys",
        "R. Meziati Sabour et al., IEEE Transactions on Affective Computing 14, 2023, doi:10.1109/TAFFC.2021.3056960",
        ubfc_phys.recordings,
        ubfc_phys.read,
    ),
    PulseSetInfo(
        "mmpd",
        "MMPD",
        ("MMPD", "mmpd", "MMPD_mini"),
        "subject<n>/p<n>_<0..19>.mat",
        "a signed agreement, see https://github.com/McJackTang/MMPD_rPPG_dataset",
        "J. Tang et al., EMBC 2023, arXiv:2302.03840",
        mmpd.recordings,
        mmpd.read,
    ),
)

PULSE_SETS: dict[str, PulseSetInfo] = {info.name: info for info in _ALL}
"""Every pulse data set by name."""


def open_dataset(name: str, root: str | Path | None = None) -> PulseSet:
    """Find a data set and list its recordings; none is read yet.

    Parameters
    ----------
    name : str
        A key of `PULSE_SETS`.
    root : str or Path, optional
        Its folder, or the one that holds it under a name such as ``UBFC-rPPG``. Without it, the latter is what the
        environment variable ``SPIKEWRIGHT_DATA`` names, and the download cache.

    Raises
    ------
    DataError
        There is no such data set, or no recordings are where they are looked for; the message states the layout and
        how one obtains the set.
    """
    info = PULSE_SETS.get(name)
    if info is None:
        raise UnknownDatasetError(
            f"there is no pulse data set {name!r}: choose one of {', '.join(PULSE_SETS)}"
        )
    roots = search_roots(root)
    if root is not None:
        roots = roots[:1]
    folders = [base / folder for base in roots for folder in info.folders]
    if root is not None:
        folders.insert(0, roots[0])
    for folder in folders:
        entries = info.list_entries(folder)
        if entries:
            return PulseSet(info, folder, tuple(entries))
    raise MissingFileError(
        f"{info.title}: no recordings in {', '.join(map(str, folders))}: expected is {info.layout}. "
        f"The set is obtained by {info.access}; then set {DATA_VARIABLE} to the folder that holds {info.folders[0]}"
    )
