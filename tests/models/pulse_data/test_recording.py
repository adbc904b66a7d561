import numpy as np
import pytest

from spikewright.models.data import DataError
from spikewright.models.pulse_data import Box, Recording

RNG = np.random.default_rng(0)


def made(count=40, **changes):
    fields = {
        "name": "anna",
        "subject": "anna",
        "frames": np.zeros((count, 5, 7, 3), np.uint8),
        "pulse": np.zeros(count, np.float32),
        "times": np.arange(count) / 25,
    }
    return Recording(**(fields | changes))


def test_rate_is_that_of_even_times():
    assert made().fps == pytest.approx(25)
    assert made(2, times=np.array([1.0, 1.2])).fps == pytest.approx(5)


def test_rate_survives_stamps_that_come_in_pairs_and_a_gap():
    intervals = np.tile([0.012, 0.042, 0.042], 60)
    intervals[90] = 0.25
    times = np.concatenate([[0], np.cumsum(intervals)])
    # The median of single intervals would be 23.8.
    assert made(181, times=times).fps == pytest.approx(31.25)


def test_pulse_may_be_unknown():
    assert made(pulse=None).pulse is None


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"frames": np.zeros((40, 5, 7), np.uint8)}, "frames are"),
        ({"frames": np.zeros((40, 5, 7, 3))}, "frames are"),
        ({"frames": np.zeros((1, 5, 7, 3), np.uint8)}, "one frame"),
        ({"pulse": np.zeros(39, np.float32)}, "pulse is"),
        ({"pulse": np.zeros(40)}, "pulse is"),
        ({"pulse": np.full(40, np.nan, np.float32)}, "nan at frame 0"),
        ({"times": np.full(40, np.inf)}, "inf at frame 0"),
        ({"times": np.r_[0:39, 37].astype(float)}, "from frame 38"),
    ],
)
def test_bad_fields_are_named(changes, what):
    with pytest.raises(DataError, match=f"recording anna: .*{what}"):
        made(**changes)


def test_box_reads_and_writes_itself():
    assert Box.parse("1, 2,30,40") == Box(1, 2, 30, 40)
    assert Box.parse(str(Box(1, 2, 3, 4))) == Box(1, 2, 3, 4)
    for text in ("1,2,3", "a,b,c,d", "-1,2,3,4", "1,2,0,4", "1,2,3,4,5"):
        with pytest.raises(DataError, match="box"):
            Box.parse(text)


def test_box_grows_about_its_centre_within_the_frame():
    assert Box(40, 30, 20, 10).enlarged(1.5, 200, 300) == Box(35, 28, 30, 14)
    assert Box(0, 0, 20, 20).enlarged(1.5, 22, 300) == Box(0, 0, 25, 22)
