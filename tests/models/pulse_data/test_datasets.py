import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from spikewright.models.data import BadFileError, DataError, MissingFileError, UnknownDatasetError, fetch
from spikewright.models.pulse_data import PULSE_SETS, Box, Recording, export_ubfc, generate, open_dataset
from spikewright.models.pulse_data.datasets.ubfc_rppg import read_ground_truth

from . import writers

RNG = np.random.default_rng(0)
REAL_ROOT = os.environ.get("SPIKEWRIGHT_DATA")


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    monkeypatch.delenv("SPIKEWRIGHT_DATA", raising=False)
    monkeypatch.setattr(fetch, "cache_folder", lambda: tmp_path / "cache")


def test_names_and_missing_sets(tmp_path):
    with pytest.raises(UnknownDatasetError, match=r"vipl.*ubfc-rppg, pure"):
        open_dataset("vipl")
    for name, info in PULSE_SETS.items():
        with pytest.raises(MissingFileError) as caught:
            open_dataset(name, tmp_path)
        for part in (info.title, info.layout, info.access, str(tmp_path)):
            assert part in str(caught.value)


def test_ubfc_rppg_both_parts(tmp_path, monkeypatch):
    made = [writers.recording(RNG, 40 + at, 9, 15) for at in range(2)]
    writers.dataset_2(tmp_path / "UBFC-rPPG/DATASET_2/subject10", made[0])
    writers.dataset_2(tmp_path / "UBFC-rPPG/DATASET_2/subject9", made[1])
    writers.dataset_1(tmp_path / "UBFC-rPPG/DATASET_1/after-exercise", made[0])
    monkeypatch.setenv("SPIKEWRIGHT_DATA", str(tmp_path))
    found = open_dataset("ubfc-rppg")
    assert found.subjects == ("after-exercise", "subject9", "subject10")
    one, nine, ten = (found.read(entry) for entry in found.entries)
    for read, original in ((nine, made[1]), (ten, made[0])):
        np.testing.assert_array_equal(read.frames, original.frames)
        np.testing.assert_allclose(read.pulse, original.pulse, rtol=1e-6)
        np.testing.assert_allclose(read.times, original.times, atol=1e-7)
    np.testing.assert_array_equal(one.frames, made[0].frames)
    np.testing.assert_allclose(one.pulse, 2000 * one.times, atol=1e-3)
    # A subset of the folders, and the face's place given.
    box = Box(2, 1, 6, 4)
    small = found.read(found.entries[1], size=(2, 3), box=box)
    assert small.frames.shape == (41, 2, 3, 3)
    cut = found.read(found.entries[1], box=box)
    np.testing.assert_array_equal(cut.frames, made[1].frames[:, 1:5, 2:8])


def test_ubfc_rppg_label_of_another_length(tmp_path):
    made = writers.recording(RNG, 50)
    smooth = Recording("s", "s", made.frames, np.linspace(0, 1, 50, dtype=np.float32), made.times)
    writers.dataset_2(tmp_path / "subject1", smooth, samples=51)
    found = open_dataset("ubfc-rppg", tmp_path)
    read = found.read(found.entries[0])
    np.testing.assert_allclose(read.pulse, smooth.pulse, atol=1e-6)
    writers.dataset_2(tmp_path / "subject1", smooth, samples=60)
    with pytest.raises(BadFileError, match="60 samples, but the video's 50 frames take 50"):
        found.read(found.entries[0])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1 2 3\n70 70 70\n", "2 lines"),
        ("1 2 3\n70 70 70\n0 1 2\n4 4 4\n", "4 lines"),
        ("1 2 3\n70 70\n0 1 2\n", "3, 2 and 3"),
        ("1 x 3\n70 70 70\n0 1 2\n", "line 1 holds 'x' as number 2"),
        ("1 nan 3\n70 70 70\n0 1 2\n", "line 1 holds 'nan'"),
        ("1 2 3\n70 70 70\n0 2 1\n", "go back"),
        ("1 2 3\n70 70 70\n1 1 1\n", "stand still"),
        ("", "0 lines"),
        ("\xff\xfe", "as text"),
    ],
)
def test_ground_truth_that_cannot_be_used(tmp_path, text, what):
    path = tmp_path / "ground_truth.txt"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadFileError, match=what):
        read_ground_truth(path)


def test_ubfc_rppg_missing_half(tmp_path):
    made = writers.recording(RNG)
    writers.dataset_2(tmp_path / "subject1", made)
    writers.dataset_2(tmp_path / "subject2", made)
    (tmp_path / "subject1/ground_truth.txt").unlink()
    (tmp_path / "subject2/vid.avi").unlink()
    found = open_dataset("ubfc-rppg", tmp_path)
    for entry, what in zip(found.entries, ("no such label", "no such video"), strict=True):
        with pytest.raises(MissingFileError, match=what):
            found.read(entry)


@pytest.mark.parametrize("text", ["0,70,98\n", "0,70,98,1\n0,70,98,2\n", "0,70,98,1\n20,70,98,2\n"])
def test_dump_that_cannot_be_used(tmp_path, text):
    writers.dataset_1(tmp_path / "5-gt", writers.recording(RNG, 40))
    (tmp_path / "5-gt/gtdump.xmp").write_text(text)
    found = open_dataset("ubfc-rppg", tmp_path)
    with pytest.raises(BadFileError, match=r"gtdump\.xmp"):
        found.read(found.entries[0])


def test_real_ground_truth():
    path = Path(REAL_ROOT or "", "rppg/ubfc_rppg_dataset2_subject1_ground_truth.txt")
    if not REAL_ROOT or not path.is_file():
        pytest.skip("no label file of UBFC-rPPG below SPIKEWRIGHT_DATA")
    pulse, stamps = read_ground_truth(path)
    assert len(pulse) == len(stamps) == 1547
    assert stamps[-1] == pytest.approx(52.691)


@pytest.mark.parametrize(("beside", "nested"), [(False, True), (True, True), (True, False), (False, False)])
def test_pure_in_each_placement(tmp_path, beside, nested):
    times = np.arange(20) / 30 + RNG.uniform(0, 0.002, 20)
    made = writers.recording(RNG, 20, 7, 11, times=times - times[0])
    writers.pure(tmp_path, "03-02", made, beside=beside, nested=nested)
    found = open_dataset("pure", tmp_path)
    assert [(entry.name, entry.subject) for entry in found.entries] == [("03-02", "03")]
    read = found.read(found.entries[0])
    np.testing.assert_array_equal(read.frames, made.frames)
    np.testing.assert_allclose(read.times, made.times, atol=2e-9)
    np.testing.assert_allclose(read.pulse, 1000 * made.times, atol=1e-3)
    assert found.read(found.entries[0], size=4, box=Box(0, 0, 7, 7)).frames.shape == (20, 4, 4, 3)


def test_pure_damaged(tmp_path):
    made = writers.recording(RNG, 20)
    label = writers.pure(tmp_path, "01-01", made)
    found = open_dataset("pure", tmp_path)
    (entry,) = found.entries
    text = label.read_text()
    for wrong in (
        "{",
        '{"/Image": []}',
        text.replace("waveform", "wave"),
        '{"/Image": [], "/FullPackage": []}',
    ):
        label.write_text(wrong)
        with pytest.raises(BadFileError, match=r"01-01\.json"):
            found.read(entry)
    label.unlink()
    with pytest.raises(MissingFileError, match="label"):
        found.read(entry)
    label.write_text(text)
    pictures = sorted(entry.video.iterdir())
    pictures[4].write_bytes(pictures[4].read_bytes()[:30])
    with pytest.raises(BadFileError, match=pictures[4].name):
        found.read(entry)
    pictures[4].unlink()
    with pytest.raises(MissingFileError, match=f"lacks 1 of the 20 .*{pictures[4].name}"):
        found.read(entry)
    for picture in entry.video.iterdir():
        picture.unlink()
    with pytest.raises(MissingFileError, match="holds no Image"):
        found.read(entry)


def test_ubfc_phys(tmp_path):
    made = writers.recording(RNG, 70, 9, 13, fps=35)
    for subject, task in (("s10", "T1"), ("s2", "T3"), ("s2", "T1")):
        writers.ubfc_phys(tmp_path, subject, task, made)
    found = open_dataset("ubfc-phys", tmp_path)
    assert [entry.name for entry in found.entries] == ["s2_T1", "s2_T3", "s10_T1"]
    read = found.read(found.entries[0])
    np.testing.assert_array_equal(read.frames, made.frames)
    np.testing.assert_allclose(read.pulse, np.linspace(0, 1, 70), atol=1e-6)
    assert read.fps == pytest.approx(35)
    writers.ubfc_phys(tmp_path, "s2", "T1", made, hz=32)
    with pytest.raises(BadFileError, match="64 samples, but the video's 70 frames take 128"):
        found.read(found.entries[0])
    found.entries[1].label.unlink()
    with pytest.raises(MissingFileError, match="bvp_s2_T3"):
        found.read(found.entries[1])


def test_mmpd(tmp_path):
    made = writers.recording(RNG, 9, 8, 6)
    writers.mmpd(tmp_path / "subject1/p1_10.mat", made)
    writers.mmpd(tmp_path / "subject1/p1_9.mat", made)
    found = open_dataset("mmpd", tmp_path)
    assert [entry.name for entry in found.entries] == ["p1_9", "p1_10"]
    read = found.read(found.entries[0])
    np.testing.assert_array_equal(read.frames, made.frames)
    np.testing.assert_array_equal(read.pulse, made.pulse)
    path = found.entries[0].video
    good = {"video": made.frames / 255, "GT_ppg": made.pulse[None]}
    for wrong in (
        {"video": good["video"]},
        good | {"GT_ppg": made.pulse[None, 1:]},
        good | {"video": made.frames},
    ):
        savemat(path, wrong)
        with pytest.raises(BadFileError, match=r"p1_9\.mat"):
            found.read(found.entries[0])
    path.write_bytes(b"MATLAB 5.0 MAT-file" * 20)
    with pytest.raises(BadFileError, match=r"p1_9\.mat"):
        found.read(found.entries[0])


def test_exported_recordings_come_back(tmp_path):
    made = [generate(0, "easy", 50, (11, 9)), generate(1, "hard", 70, (20, 31), crop=False)]
    folders = export_ubfc(made, tmp_path / "out")
    assert [folder.name for folder in folders] == ["subject1", "subject2"]
    found = open_dataset("ubfc-rppg", tmp_path / "out")
    for entry, original in zip(found.entries, made, strict=True):
        read = found.read(entry)
        np.testing.assert_array_equal(read.frames, original.frames)
        np.testing.assert_allclose(read.pulse, original.pulse, rtol=1e-6)
        np.testing.assert_allclose(read.times, original.times, atol=1e-6)
    with pytest.raises(DataError, match="subject1 is there already"):
        export_ubfc(made, tmp_path / "out")
    unknown = Recording("dark", "d", made[0].frames, None, made[0].times)
    with pytest.raises(DataError, match="dark has no pulse"):
        export_ubfc([unknown], tmp_path / "other")
    assert not (tmp_path / "other").exists()
