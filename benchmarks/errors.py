"""What goes wrong when images are judged and twins are counted."""


class QualityError(Exception):
    """Images that cannot be judged; the message names them, the numbers and a remedy."""


class AnnError(Exception):
    """An ANN that cannot be exported or counted; the message names the file and the node."""


class PulseError(QualityError):
    """Waves or colour traces that cannot be judged; the message names them, the numbers and a remedy."""
