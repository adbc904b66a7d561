"""What goes wrong with a report."""


class ReportError(Exception):
    """A report that cannot be written or read; the message names the file, the field and a remedy."""
