"""What goes wrong with data: every message names the file or set and the one remedy."""


class DataError(Exception):
    """A data set, or a request on one, that cannot be served."""


class UnknownDatasetError(DataError):
    """A data set name that is not in the registry."""


class MissingFileError(DataError):
    """A file that is neither on disk nor fetched."""


class BadFileError(DataError):
    """A file that is there but is damaged, of another kind or not the official one."""
