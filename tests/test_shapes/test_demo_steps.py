"""The steps of the demo; tests/test_tools/test_demo.py runs all of them."""

import json
from dataclasses import replace

import pytest
from mmengine.config import Config

from freeseg_mm.shapes import WorldOptions
from freeseg_mm.shapes.clip_training import ClipTraining
from freeseg_mm.shapes.demo import ShapesDemo

# Stands in for tools/train.py: notes how it was called, writes a checkpoint.
TRAIN_SCRIPT = """
import json, pathlib, sys
config, option, folder, resume = sys.argv[1:]
assert (option, resume) == ('--work-dir', '--resume'), sys.argv
folder = pathlib.Path(folder)
calls = folder / 'calls.json'
before = json.loads(calls.read_text()) if calls.exists() else []
state = folder / 'last_checkpoint'
calls.write_text(json.dumps([*before, state.exists()]))
state.write_text('iter_2.pth')
if (folder / 'fail').exists():
    sys.exit('no memory left')
(folder / 'iter_7.pth').write_text(config)
"""


@pytest.fixture
def demo(tmp_path, repo):
    script = tmp_path / 'train.py'
    script.write_text(TRAIN_SCRIPT)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'manifest.json').write_text('{}')
    return ShapesDemo(
        work_dir=tmp_path / 'work',
        data=tmp_path / 'data',
        clip=tmp_path / 'clip',
        config=repo / 'configs/freeseg/shapes.py',
        clip_config=repo / 'configs/clip/shapes_clip.json',
        train_script=script,
        world=WorldOptions(),
        clip_training=ClipTraining(),
        words=('ring',),
        max_iters=7,
    )


@pytest.fixture
def with_clip(demo):
    demo.clip.mkdir()
    demo.clip_weights.write_text('weights')
    return demo


def fresh(demo, **changes):
    """As another process would make it."""
    return replace(demo, **changes)


def calls(demo):
    """Of each training so far, whether it found something to resume."""
    return json.loads((demo.checkpoint.parent / 'calls.json').read_text())


def test_interrupted_drawing_begins_anew(demo, monkeypatch):
    demo = fresh(
        demo,
        data=demo.data.parent / 'scenes',
        world=WorldOptions(train=1, val=1, clip=1, tune=1, size=64),
    )

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr('freeseg_mm.shapes.world._write_split', interrupt)
        with pytest.raises(KeyboardInterrupt):
            demo.draw_world()
    assert demo.draw_world()
    assert not fresh(demo).draw_world()


def test_scenes_of_other_options_are_replaced_only_if_asked(demo):
    demo = fresh(
        demo,
        data=demo.data.parent / 'scenes',
        world=WorldOptions(train=1, val=1, clip=1, tune=1, size=64),
    )
    demo.draw_world()
    other = fresh(
        demo, world=WorldOptions(train=2, val=1, clip=1, tune=1, size=64)
    )
    with pytest.raises(FileExistsError, match='give --overwrite'):
        other.draw_world()
    assert fresh(other, overwrite=True).draw_world()


def test_config_has_the_folders_and_the_seed(with_clip):
    demo = fresh(with_clip, seed=5)
    demo.train()
    config = Config.fromfile(demo.config_used)
    for name in ('train', 'val', 'test'):
        dataset = config[f'{name}_dataloader'].dataset
        assert dataset.data_root == f'{demo.data}/'
    files = [m.ann_file for m in config.test_evaluator if 'ann_file' in m]
    assert files == [str(demo.data / 'annotations/instances_val.json')]
    assert config.model.clip.pretrained == str(demo.clip_weights)
    assert config.model.clip.model == str(demo.clip / 'shapes_clip.json')
    assert config.randomness.seed == 5
    assert config.train_cfg.max_iters == 7
    assert config.train_cfg.val_interval == 1
    assert config.val_dataloader.dataset.ann_file.endswith('_tune.json')


def test_finished_training_is_not_repeated(with_clip):
    assert with_clip.train()
    assert not fresh(with_clip).train()
    assert calls(with_clip) == [False]


def test_interrupted_training_is_resumed(with_clip):
    fail = with_clip.checkpoint.parent / 'fail'
    fail.parent.mkdir(parents=True)
    fail.touch()
    with pytest.raises(RuntimeError, match='no memory left'):
        with_clip.train()
    fail.unlink()
    assert fresh(with_clip).train()
    assert calls(with_clip) == [False, True]


@pytest.mark.parametrize('change', ['seed', 'clip', 'world'])
def test_training_of_other_inputs_starts_anew(with_clip, change):
    with_clip.train()
    other = fresh(with_clip)
    if change == 'seed':
        other = fresh(with_clip, seed=1)
    elif change == 'clip':
        with_clip.clip_weights.write_text('other weights')
    else:
        (with_clip.data / 'manifest.json').write_text('{"format": 2}')
    assert other.train()
    assert calls(with_clip) == [False, False]


def test_clip_of_unknown_origin_is_not_replaced(with_clip):
    with pytest.raises(
        FileExistsError, match=r'clip holds a CLIP .* --overwrite'
    ):
        with_clip.train_clip()
    assert with_clip.clip_weights.read_text() == 'weights'


@pytest.fixture
def fake_clip_training(monkeypatch):
    """Writes the seed of the training as weights."""

    def train(data, out, *, model_config, training):
        out.mkdir(exist_ok=True)
        (out / 'shapes_clip.pt').write_text(str(training.seed))

    monkeypatch.setattr('freeseg_mm.shapes.demo.train_shapes_clip', train)


def test_clip_is_trained_once(demo, fake_clip_training):
    assert demo.train_clip()
    assert not fresh(demo).train_clip()


def test_clip_of_other_options_is_replaced_only_if_asked(
    demo, fake_clip_training
):
    demo.train_clip()
    other = fresh(demo, clip_training=ClipTraining(seed=1))
    with pytest.raises(FileExistsError, match='with other options'):
        other.train_clip()
    assert demo.clip_weights.read_text() == '0'
    assert fresh(other, overwrite=True).train_clip()
    assert demo.clip_weights.read_text() == '1'


def test_pictures_have_different_names(demo):
    assert len(set(demo.pictures)) >= 8
