import numpy as np
import pytest
import torch

from freeseg_mm.benchmark.metrics_predictions import shaken_truth
from freeseg_mm.utils.panoptic_png import encode_panoptic_png

TRUTH = np.zeros((40, 60), int)
TRUTH[:20] = 7  # stuff
TRUTH[20:, :30] = 8  # a thing
TRUTH[30:, 40:] = 9  # a crowd
SEGMENTS = [
    {'id': 7, 'label': 2, 'iscrowd': 0},
    {'id': 8, 'label': 0, 'iscrowd': 0},
    {'id': 9, 'label': 0, 'iscrowd': 1},
]


@pytest.fixture
def shake(tmp_path):
    path = tmp_path / 'truth.png'

    def make(seed=0, segments=SEGMENTS, **changes):
        encode_panoptic_png(TRUTH, path)
        settings = {'usable': [0, 1, 2], 'things': [0, 1], 'num_objects': 12}
        return shaken_truth(
            {'seg_map_path': path, 'segments': segments},
            3,
            seed=seed,
            **(settings | changes),
        )

    return make


def test_shapes_and_ranges(shake):
    for seed in range(8):
        prediction = shake(seed)
        assert prediction.classes.shape == prediction.ids.shape == (1, 40, 60)
        assert set(prediction.classes.unique().tolist()) <= {0, 1, 2}
        assert prediction.masks.shape == (12, 40, 60)
        assert prediction.masks.flatten(1).any(dim=1).all()
        assert set(prediction.labels.tolist()) <= {0, 1}
        assert (prediction.scores.diff() <= 0).all()
        present = set(prediction.ids.unique().tolist()) - {3}  # void
        assert {s['id'] for s in prediction.segments} == present
        for segment in prediction.segments:
            assert segment['id'] % 1000 == segment['label'] < 3


def test_predictions_are_near_the_truth_but_not_it(shake):
    truth = torch.from_numpy(TRUTH == 7)
    overlaps = []
    for seed in range(20):
        prediction = shake(seed)
        for segment in prediction.segments:
            mask = prediction.ids[0] == segment['id']
            overlap = (mask & truth).sum() / (mask | truth).sum()
            overlaps.append(float(overlap))
    close = [value for value in overlaps if value > 0.5]
    assert len(close) > 10
    assert min(close) < 0.99


def test_seed_decides(shake):
    one, same, other = shake(1), shake(1), shake(2)
    for name in ('classes', 'masks', 'labels', 'scores', 'ids'):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.scores, other.scores)


def test_without_segments_or_things_there_are_no_objects(shake):
    assert shake(segments=[]).masks.shape == (0, 40, 60)
    nothing = shake(things=[])
    assert nothing.masks.shape == (0, 40, 60)
    assert nothing.labels.shape == nothing.scores.shape == (0,)
