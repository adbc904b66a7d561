"""What goes wrong when images are judged."""


class QualityError(Exception):
    """Images that cannot be judged; the message names them, the numbers and a remedy."""
