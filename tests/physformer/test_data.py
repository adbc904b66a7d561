"""Videos of a recipe: splits by subject, clips and labels that belong together, public sets cropped and resampled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikewright.errors import BuildError
from spikewright.models.pulse_data.clips import diff_label
from spikewright.models.pulse_data.recording import Recording
from spikewright.models.pulse_data.synthetic import generate
from spikewright.models.recipe import PulseData
from spikewright.physformer.data import FIRST_TEST_SUBJECT, recordings, video_of
from spikewright.physformer_stages import clips_of, clips_of_epochs
from spikewright.recipe import PulseRecipe, RecipeError, load_recipe
from spikewright.workspace import Workspace

SMALL = PulseData(level="easy", image=(16, 24), frames=80, video_frames=170, train_videos=3, test_videos=2)


def test_splits_show_different_subjects_and_come_again_alike() -> None:
    train, test = (list(recordings(SMALL, split, 1)) for split in ("train", "test"))
    assert (len(train), len(test)) == (3, 2)
    assert not {video.subject for video in train} & {video.subject for video in test}
    again = list(recordings(SMALL, "test", 1, most=1))
    assert len(again) == 1
    assert np.array_equal(again[0].clips, test[0].clips)
    other = next(recordings(SMALL, "test", 2))
    assert not np.array_equal(other.clips, test[0].clips)


def recipe_of(folder: Path, lines: str) -> PulseRecipe:
    path = folder / "a.toml"
    path.write_text(
        f'name = "a"\n[model]\nkind = "spiking-physformer"\n[data]\n{lines}\n'
        "[train.physformer]\nepochs = 1\n[train.physformer_ann]\nepochs = 1\n"
    )
    recipe = load_recipe(str(path))
    assert isinstance(recipe, PulseRecipe)
    return recipe


@pytest.mark.parametrize("on", [True, False])
def test_no_epoch_of_renewed_videos_shows_another_ones_subjects(tmp_path: Path, on: bool) -> None:
    recipe = recipe_of(tmp_path, "").model_copy(update={"data": SMALL.model_copy(update={"renewed": on})})
    workspace = Workspace(recipe, tmp_path)
    later = clips_of_epochs(workspace)
    assert (later is not None) == on
    if later is None:
        return
    epochs = [clips_of(workspace, "train", {}), later(1), later(2)]
    whole = recordings(SMALL, "train", recipe.train_seed, chosen=range(9))
    wanted = np.concatenate([video.clips for video in whole]).astype(np.float16)
    assert np.array_equal(np.concatenate([epoch.inputs for epoch in epochs]), wanted)
    assert all(len(epoch.inputs) == len(epochs[0].inputs) for epoch in epochs)


def test_training_never_sees_a_test_subject() -> None:
    with pytest.raises(BuildError, match=r"train_videos \(3\): training would see subject 100,001"):
        next(recordings(SMALL, "train", 1, chosen=[FIRST_TEST_SUBJECT + 1]))


def test_clips_labels_and_traces_belong_together() -> None:
    video = next(recordings(SMALL, "test", 1))
    made = generate(FIRST_TEST_SUBJECT, "easy", 170, (16, 24), 1)
    assert video.clips.shape == (2, 3, 80, 16, 24)
    assert video.labels.shape == (2, 80)
    assert np.array_equal(video.labels.ravel(), diff_label(made.pulse)[:160])  # type: ignore[arg-type]
    np.testing.assert_allclose(video.traces, made.frames[:160].mean((1, 2)), rtol=1e-6)


def test_another_frame_rate_is_brought_to_the_networks() -> None:
    made = generate(7, "easy", 120, (16, 24), 1)
    slow = Recording("slow", "7", made.frames, made.pulse, made.times * 1.5)  # 20 frames a second
    video = video_of(slow, SMALL)
    assert video.clips.shape[0] == 2  # 6 s at 30 frames a second


def test_a_video_without_a_label_is_refused() -> None:
    made = generate(7, "easy", 120, (16, 24), 1)
    with pytest.raises(BuildError, match=r"unlabelled: has no pulse .* give its label file"):
        video_of(Recording("unlabelled", "7", made.frames, None, made.times), SMALL)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("video_frames = 100", "data.video_frames = 100: shorter than a clip of 160 frames"),
        ("test_videos = 10", "deploy.videos = 200: there are 10 test videos"),
        ("image = [24, 32]", "image height 24: take a multiple of 16"),
        ('name = "mnist"', "data.name = 'mnist'"),
        ('name = "pure"\nrenewed = true', "the videos of pure are as many as there are"),
    ],
)
def test_recipes_that_cannot_work_are_refused(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace("[", r"\[")):
        recipe_of(tmp_path, lines)
