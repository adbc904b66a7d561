import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.models.data import BadFileError, DataError, MissingFileError
from spikewright.models.pulse_data import Box, crop, cropped, face_box, frames_of, read_video, write_video
from spikewright.models.pulse_data import video as room

RNG = np.random.default_rng(0)


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2", reason="OpenCV is not installed")


@settings(max_examples=15)
@given(
    count=st.integers(1, 5),
    height=st.integers(1, 33),
    width=st.integers(1, 33),
    fps=st.sampled_from([25, 29.97]),
)
def test_video_comes_back_exactly(tmp_path_factory, count, height, width, fps):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    rng = np.random.default_rng(count * height * width)
    frames = rng.integers(0, 256, (count, height, width, 3), np.uint8)
    path = tmp_path_factory.mktemp("video") / "a.avi"
    write_video(path, frames, fps)
    found, times = read_video(path)
    np.testing.assert_array_equal(found, frames)
    np.testing.assert_allclose(times, np.arange(count) / fps, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "frames", "fps", "what"),
    [
        ("a.mp4", np.zeros((2, 4, 4, 3), np.uint8), 30, ".avi"),
        ("a.avi", np.zeros((2, 4, 4), np.uint8), 30, "shape"),
        ("a.avi", np.zeros((0, 4, 4, 3), np.uint8), 30, "shape"),
        ("a.avi", np.zeros((2, 4, 4, 3)), 30, "float64"),
        ("a.avi", np.zeros((2, 4, 4, 3), np.uint8), 0, "frames a second"),
        ("a.avi", np.broadcast_to(np.uint8(0), (2000, 1000, 1000, 3)), 30, "4 GB"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, name, frames, fps, what):
    with pytest.raises(DataError, match=what):
        write_video(tmp_path / name, frames, fps)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_video(tmp_path, cv2):
    with pytest.raises(MissingFileError, match="no such video"):
        read_video(tmp_path / "absent.avi")
    empty, text = tmp_path / "empty.avi", tmp_path / "text.avi"
    empty.touch()
    text.write_text("not a video " * 99)
    with pytest.raises(BadFileError, match=r"empty\.avi is empty"):
        read_video(empty)
    with pytest.raises(BadFileError, match=r"text\.avi is not a video"):
        read_video(text)


def test_truncated_videos(tmp_path, cv2):
    path = tmp_path / "cut.avi"
    write_video(path, RNG.integers(0, 256, (40, 16, 20, 3), np.uint8), 30)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadFileError, match=r"announces 40 frames and holds \d+: it is cut off"):
        read_video(path)
    path.write_bytes(whole[:300])
    with pytest.raises(BadFileError, match="cut"):
        read_video(path)


def test_without_opencv_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.avi"
    write_video(path, np.zeros((2, 4, 4, 3), np.uint8), 30)

    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(room, "importlib", type("none", (), {"import_module": staticmethod(refuse)}))
    with pytest.raises(DataError, match=r"spikewright\[video\]"):
        next(frames_of(path))
    assert importlib.import_module("spikewright.models.pulse_data")


@pytest.fixture
def portrait():
    data = pytest.importorskip("skimage.data")
    return data.astronaut()


def test_face_is_found_and_followed_from_the_first_second(cv2, portrait):
    box = face_box([portrait])
    # Eyes and mouth of the astronaut, by eye.
    for x, y in ((205, 110), (240, 110), (222, 150)):
        assert box.x < x < box.x + box.width
        assert box.y < y < box.y + box.height
    black = np.zeros_like(portrait)
    frames = [black] * 2 + [portrait] * 40
    assert face_box(frames) == box
    found = np.stack(list(cropped(iter(frames), (20, 30))))
    assert found.shape == (42, 20, 30, 3)
    np.testing.assert_array_equal(found, crop(np.stack(frames), box, (20, 30)))


def test_no_face(cv2):
    frames = np.zeros((40, 30, 40, 3), np.uint8)
    with pytest.raises(DataError, match=r"no face found in clip7: none of its first 30 .*--box x,y,w,h"):
        list(cropped(frames, 32, name="clip7"))


def test_crop_averages_over_areas(cv2):
    frames = RNG.integers(0, 256, (3, 20, 30, 3), np.uint8)
    box = Box(6, 4, 12, 8)
    found = crop(frames, box, (4, 6))
    means = frames[:, 4:12, 6:18].reshape(3, 4, 2, 6, 2, 3).mean((2, 4))
    assert np.abs(found - means).max() <= 0.5
    np.testing.assert_array_equal(np.stack(list(cropped(frames, (4, 6), box))), found)
    with pytest.raises(DataError, match="does not lie within"):
        crop(frames, Box(20, 0, 12, 8), 4)
    with pytest.raises(DataError, match="at least 1 x 1"):
        crop(frames, box, 0)
