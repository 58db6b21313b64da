import json
import math

import open_clip
import pytest
import torch

from freeseg_mm.shapes import shapes_vocabulary
from freeseg_mm.shapes.clip_training import (
    ClipTraining,
    train_shapes_clip,
    zero_shot_accuracy,
)
from freeseg_mm.shapes.crops import SegmentCrops

TINY_MODEL = {
    'embed_dim': 16,
    'vision_cfg': {
        'image_size': 16,
        'layers': 1,
        'width': 16,
        'head_width': 16,
        'patch_size': 8,
    },
    'text_cfg': {
        'context_length': 77,
        'vocab_size': 49408,
        'width': 16,
        'heads': 1,
        'layers': 1,
    },
}
TRAINING = ClipTraining(steps=10, groups=1, threads=1)


@pytest.fixture(scope='module')
def model_config(tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'tiny_shapes_clip.json'
    path.write_text(json.dumps(TINY_MODEL))
    return path


@pytest.fixture(scope='module')
def trained(tiny_world, model_config, tmp_path_factory):
    out = tmp_path_factory.mktemp('clip')
    metrics = train_shapes_clip(
        tiny_world, out, model_config=model_config, training=TRAINING
    )
    return out, metrics


def load(out):
    open_clip.add_model_config(out / 'tiny_shapes_clip.json')
    # Strict: a missing or unexpected key raises.
    return open_clip.create_model(
        'tiny_shapes_clip', pretrained=str(out / 'tiny_shapes_clip.pt')
    ).eval()


def test_checkpoint_loads_through_open_clip(
    trained, tiny_world, model_config, tmp_path
):
    out, _ = trained
    assert json.loads((out / model_config.name).read_text()) == TINY_MODEL
    clip = load(out)
    # Training again gives the same weights, hence the same features.
    train_shapes_clip(
        tiny_world, tmp_path, model_config=model_config, training=TRAINING
    )
    again = load(tmp_path)
    images = torch.rand(2, 3, 16, 16)
    tokens = open_clip.get_tokenizer('tiny_shapes_clip')(['a red star'])
    for name in ('encode_image', 'encode_text'):
        given = images if name == 'encode_image' else tokens
        torch.testing.assert_close(
            getattr(clip, name)(given),
            getattr(again, name)(given),
            rtol=0,
            atol=0,
        )


def test_weights_are_laid_out_as_others_write_them(trained):
    """Training has them channels last; files are compared byte by byte."""
    out, _ = trained
    weights = torch.load(out / 'tiny_shapes_clip.pt', weights_only=True)
    assert any(weight.ndim == 4 for weight in weights.values())
    assert all(weight.is_contiguous() for weight in weights.values())


def test_training_changes_both_towers(trained, model_config):
    clip = load(trained[0])
    open_clip.add_model_config(model_config)
    torch.manual_seed(TRAINING.seed)
    start = dict(open_clip.create_model('tiny_shapes_clip').named_parameters())
    changed = {
        name
        for name, parameter in clip.named_parameters()
        if not torch.equal(parameter, start[name])
    }
    # What no forward pass reaches stays; everything else moves.
    assert set(start) - changed == set()
    # No caption says 'zebra': its embedding is as it was.
    word = open_clip.get_tokenizer('tiny_shapes_clip').encode('zebra')
    torch.testing.assert_close(
        clip.token_embedding.weight[word],
        start['token_embedding.weight'][word],
        rtol=0,
        atol=0,
    )


def test_metrics_are_written(trained):
    out, metrics = trained
    assert json.loads((out / 'metrics.json').read_text()) == metrics
    accuracy = metrics['zero_shot_accuracy']
    assert set(accuracy) == {'all', 'seen', 'unseen'}
    assert all(0 <= value <= 100 for value in accuracy.values())


class PerfectOnThings(torch.nn.Module):
    """Recognises blue circles, says 'sky' to all else."""

    def __init__(self):
        super().__init__()
        self.visual = torch.nn.Module()
        self.visual.image_size = 8
        self.visual.image_mean = (0.0, 0.0, 0.0)
        self.visual.image_std = (1.0, 1.0, 1.0)

    def encode_text(self, prompts, normalize):
        assert prompts[0] == 'A photo of red circle.'
        return torch.eye(len(prompts))

    def encode_image(self, images, normalize):
        names = shapes_vocabulary().names
        means = images.mean((2, 3))
        is_blue = means[:, 2] > means[:, :2].sum(1)
        labels = torch.where(
            is_blue, names.index('blue circle'), names.index('sky')
        )
        return torch.eye(len(names))[labels]


def test_accuracy_by_hand():
    def crops_of(colours, labels):
        count = len(labels)
        colour = torch.tensor(colours, dtype=torch.uint8)
        return SegmentCrops(
            vocabulary=shapes_vocabulary(),
            images=colour.view(count, 3, 1, 1).repeat(1, 1, 8, 8),
            segments=torch.ones(count, 8, 8, dtype=torch.uint8),
            scenes=torch.arange(count),
            numbers=torch.ones(count, dtype=torch.uint8),
            labels=torch.tensor(labels),
            boxes=torch.tensor([[0.0, 0.0, 8.0, 8.0]]).repeat(count, 1),
            places=torch.zeros(count, dtype=torch.int64),
        )

    names = shapes_vocabulary().names
    sky, red = names.index('sky'), names.index('red circle')
    unseen = names.index('blue circle')
    blue, grey = [0, 0, 200], [90, 90, 90]
    accuracy = zero_shot_accuracy(
        PerfectOnThings(),
        list,
        crops_of([blue, grey, grey, grey], [unseen, unseen, sky, red]),
    )
    # One of two unseen is right, sky is right, the red circle is not.
    assert accuracy == {'all': 50.0, 'seen': 50.0, 'unseen': 50.0}
    only_seen = zero_shot_accuracy(
        PerfectOnThings(), list, crops_of([grey], [sky])
    )
    assert only_seen['all'] == only_seen['seen'] == 100.0
    assert math.isnan(only_seen['unseen'])


def test_default_model_is_small(repo):
    open_clip.add_model_config(repo / 'configs' / 'clip' / 'shapes_clip.json')
    clip = open_clip.create_model('shapes_clip')
    assert clip.context_length == 77
    assert clip.visual.image_size == (48, 48)
    total = sum(parameter.numel() for parameter in clip.parameters())
    assert total - clip.token_embedding.weight.numel() < 1e6


def test_absent_files_are_named(tmp_path, tiny_world, model_config):
    with pytest.raises(FileNotFoundError, match=r'no open_clip model config'):
        train_shapes_clip(
            tiny_world,
            tmp_path,
            model_config=tmp_path / 'none.json',
            training=TRAINING,
        )
    with pytest.raises(FileNotFoundError, match=r'holds no generated scenes'):
        train_shapes_clip(
            tmp_path, tmp_path, model_config=model_config, training=TRAINING
        )


def test_other_json_is_no_model_config(tmp_path, tiny_world):
    path = tmp_path / 'other.json'
    path.write_text('{"classes": []}')
    with pytest.raises(ValueError, match='is not an open_clip model config'):
        train_shapes_clip(
            tiny_world, tmp_path, model_config=path, training=TRAINING
        )


@pytest.mark.parametrize('field', ['steps', 'groups', 'threads'])
def test_counts_out_of_range_are_named(field):
    with pytest.raises(ValueError, match=f'{field} is 0, expected at least 1'):
        ClipTraining(**{field: 0})


@pytest.mark.parametrize('wrong', [{'lr': 0.0}, {'seed': -1}])
def test_rate_and_seed_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match='expected lr > 0 and seed >= 0'):
        ClipTraining(**wrong)


def test_command_trains_and_explains_errors(
    run, tiny_world, model_config, tmp_path
):
    status, _, error = run('clip', tmp_path, tmp_path / 'out')
    assert status == 1
    assert 'holds no generated scenes; write them with' in error
    options = ['--model', model_config, '--steps', 1, '--groups', 1]
    status, out, told = run('clip', tiny_world, tmp_path, *options)
    assert status == 0
    assert 'zero-shot accuracy on val crops, percent: all ' in out
    assert 'training CLIP: 100%' in told
    assert (tmp_path / 'tiny_shapes_clip.pt').is_file()
