"""Find an official file on disk, check it, or fetch it."""

import os
from functools import lru_cache
from pathlib import Path

import pooch  # type: ignore[import-untyped]

from .errors import BadFileError, MissingFileError
from .sources import OfficialFile, ZipSource

DATA_VARIABLE = "SPIKEWRIGHT_DATA"
_TIMEOUT_S = (3.0, 10.0)  # to connect, and between two pieces of the answer


def cache_folder() -> Path:
    """Return the folder that downloads are kept in."""
    return Path(pooch.os_cache("spikewright"))


def search_roots(root: str | Path | None = None) -> list[Path]:
    """Return the folders to look for data in, first one first.

    Parameters
    ----------
    root : str or Path, optional
        A data folder; without it, the one named by the environment variable ``SPIKEWRIGHT_DATA``.

    Returns
    -------
    list of Path
        That folder, if there is one, and the download cache.

    Raises
    ------
    MissingFileError
        When the folder asked for does not exist.
    """
    asked = root if root is not None else os.environ.get(DATA_VARIABLE)
    if not asked:
        return [cache_folder()]
    folder = Path(asked).expanduser()
    if not folder.is_dir():
        origin = "root" if root is not None else DATA_VARIABLE
        raise MissingFileError(f"data folder {folder} does not exist: set {origin} to a folder that does")
    return [folder, cache_folder()]


def find(relative: str, roots: list[Path]) -> Path | None:
    """Return the first existing file ``root / relative``, or None."""
    return next((root / relative for root in roots if (root / relative).is_file()), None)


def locate(file: OfficialFile, roots: list[Path]) -> Path | None:
    """Return where an official file lies on disk, unchecked, or None."""
    found = (find(f"{folder}/{file.name}", [root]) for root in roots for folder in file.folders)
    return next((path for path in found if path is not None), None)


def obtain(file: OfficialFile, roots: list[Path], *, download: bool) -> Path:
    """Return the path of an official file whose checksum is right.

    Parameters
    ----------
    file : OfficialFile
        What to get.
    roots : list of Path
        Folders to look in, as from `search_roots`.
    download : bool
        Whether to fetch the file into the cache when it is in none of them.

    Returns
    -------
    Path

    Raises
    ------
    MissingFileError
        When the file is not on disk and was not fetched.
    BadFileError
        When its checksum is wrong.
    """
    path = locate(file, roots)
    if path is None:
        if not download:
            raise _missing(file, roots, "downloads are switched off")
        path = _fetch(file, roots)
    status = path.stat()
    if _md5(path, status.st_mtime_ns, status.st_size) != file.md5:
        raise BadFileError(
            f"{file.title}: {path} is not the official file (its MD5 is not {file.md5}): "
            "delete it and fetch it again"
        )
    return path


@lru_cache(maxsize=64)
def _md5(path: Path, mtime_ns: int, size: int) -> str:
    # Time and size are in the key so that a replaced file is hashed afresh.
    return str(pooch.file_hash(str(path), alg="md5"))


def _missing(file: OfficialFile, roots: list[Path], reason: str) -> MissingFileError:
    looked = ", ".join(str(root / folder) for root in roots for folder in file.folders)
    return MissingFileError(
        f"{file.title}: {file.name} was not found in {looked} and not fetched ({reason}): "
        f"set {DATA_VARIABLE} or connect to the network"
    )


def _fetch(file: OfficialFile, roots: list[Path]) -> Path:
    cache = cache_folder()
    source = file.source
    url = source.url if isinstance(source, ZipSource) else source
    downloader = pooch.HTTPDownloader(timeout=_TIMEOUT_S, chunk_size=1 << 16)
    try:
        if isinstance(source, ZipSource):
            pooch.retrieve(
                url,
                known_hash=f"md5:{source.md5}",
                fname=source.name,
                path=cache / source.folder,
                processor=pooch.Unzip(members=list(source.members), extract_dir="."),
                downloader=downloader,
            )
        else:
            pooch.retrieve(
                url,
                known_hash=f"md5:{file.md5}",
                fname=file.name,
                path=cache / file.folders[0],
                downloader=downloader,
            )
    except OSError as error:  # every network error of requests is one
        raise _missing(file, roots, f"{url}: {type(error).__name__}") from None
    except ValueError:
        raise BadFileError(
            f"{file.title}: what {url} delivered has another MD5 than the official file: fetch it again later"
        ) from None
    path = locate(file, [cache])
    if path is None:
        raise _missing(file, roots, f"{url} does not hold it")
    return path
