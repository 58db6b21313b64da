"""Views of an image joined: by hand, and against a single view."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from torch import nn
from torch.testing import assert_close

from freeseg_mm.models.heads import FreeSegFusionHead
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.models.segmentors import FreeSeg, FreeSegTTAModel
from freeseg_mm.models.segmentors.raw_prediction import ScoredMasks
from freeseg_mm.models.segmentors.test_time_augmentation import (
    SCALES,
    use_tta,
)
from freeseg_mm.structures import Task

CAT, ZEBRA, GRASS, SKY = range(4)
TASKS = list(Task)


def _logits(*masks):
    """Certain logits of masks given as rows of text, (1, 1, N, h, w)."""
    values = [[[10.0 * (x == '#') - 5 for x in r] for r in m] for m in masks]
    return torch.tensor(values)[None, None]


class Scripted(nn.Module):
    """A network that gives each view the masks and scores of a script."""

    def __init__(self, script, vocabulary, options):
        super().__init__()
        self.script = iter(script)
        self.panoptic_fusion_head = FreeSegFusionHead()
        self.call = (options, vocabulary)

    def data_preprocessor(self, data, training):
        return data

    def call_of(self, samples):
        return self.call

    def score_masks(self, inputs, metas, vocabulary, options):
        logits, probs = next(self.script)
        probs = torch.tensor(probs)[None, None]
        probs = probs.expand(1, len(options.tasks), -1, -1)
        return ScoredMasks(logits, None, None, probs, None, None)

    add_pred_to_datasample = FreeSeg.add_pred_to_datasample

    def test_step(self, data):
        raise AssertionError('masks are joined before results')


@pytest.fixture
def run(make_sample, tiny_vocabulary):
    """Predict by a script of views; each is flipped or not."""

    def run(script, flips, **options):
        chosen = PredictOptions().override(
            tasks=TASKS, score_thr=0.0, overlap_thr=0.0, **options
        )
        module = Scripted(script, tiny_vocabulary, chosen)
        views = []
        for flip in flips:
            sample = make_sample(size=(2, 4))
            direction = 'horizontal' if flip else None
            sample.set_metainfo({'flip': flip, 'flip_direction': direction})
            views.append([sample])
        data = {'inputs': [[None]] * len(flips), 'data_samples': views}
        (sample,) = FreeSegTTAModel(module).test_step(data)
        return sample

    return run


def test_a_mask_of_both_views_has_the_mean_of_their_scores(run):
    left, flipped = _logits(['##..', '##..']), _logits(['..##', '..##'])
    sample = run(
        [
            (left, [[0.8, 0.1, 0.0, 0.0]]),
            (flipped, [[0.4, 0.1, 0.0, 0.0]]),
        ],
        [False, True],
    )
    found = sample.pred_instances
    best = found[found.labels == CAT]
    assert len(best) == 1
    # the score of a mask is its class times how sure its pixels are
    sure = torch.tensor(5.0).sigmoid()
    assert_close(best.scores, 0.6 * sure[None])
    assert best.masks[0].tolist() == [[True, True, False, False]] * 2
    assert sample.pred_sem_seg.sem_seg[0, :, :2].tolist() == [[CAT] * 2] * 2
    (segment,) = sample.pred_panoptic_seg.segments_info
    assert segment['label'] == CAT


def test_a_mask_of_one_view_counts_half(run):
    left = _logits(['##..', '##..'])
    both = _logits(['..##', '..##'], ['#...', '....'])
    sample = run(
        [
            (left, [[0.8, 0.0, 0.0, 0.0]]),
            (both, [[0.8, 0.0, 0.0, 0.0], [0.0, 0.6, 0.0, 0.0]]),
        ],
        [False, True],
    )
    found = sample.pred_instances
    sure = torch.tensor(5.0).sigmoid()
    score = {
        label: found.scores[found.labels == label].max().item()
        for label in (CAT, ZEBRA)
    }
    assert score == pytest.approx(
        {CAT: 0.8 * sure.item(), ZEBRA: 0.3 * sure.item()}
    )
    zebra = found[found.labels == ZEBRA][0]
    # flipped back
    assert zebra.masks[0].tolist() == [
        [False, False, False, True],
        [False, False, False, False],
    ]


def test_views_without_a_mask(run):
    left, nothing = _logits(['##..', '##..']), [[0.0] * 4]
    for script in (
        [(left, nothing), (left, [[0.8, 0.0, 0.0, 0.0]])],
        [(left, [[0.8, 0.0, 0.0, 0.0]]), (left, nothing)],
    ):
        sample = run(script, [False, False])
        assert len(sample.pred_instances) > 0
        assert sample.pred_instances.scores.max() < 0.41
    sample = run([(left, nothing)] * 2, [False, False])
    assert len(sample.pred_instances) == 0
    assert sample.pred_panoptic_seg.segments_info == []


def test_raw_scores_belong_to_a_view(run):
    with pytest.raises(ValueError, match='raw=True gives the scores of one'):
        run([(_logits(['##..']), [[0.5, 0, 0, 0]])], [False], raw=True)


@pytest.fixture
def model(build_tiny_model, tiny_model_config):
    config = tiny_model_config
    config.panoptic_head.classifier.temperature = 5.0
    config.test_cfg.object_score_thr = 0.1
    config.test_cfg.overlap_thr = 0.1
    return build_tiny_model(config).eval()


def test_one_view_is_the_prediction_itself(model, make_sample):
    image = (torch.rand(3, 48, 40) * 255).byte()

    def samples():
        return [make_sample(img_shape=(48, 40), ori_shape=(33, 25), task=None)]

    (alone,) = model.test_step({'inputs': [image], 'data_samples': samples()})
    (joined,) = FreeSegTTAModel(model).test_step(
        {'inputs': [[image]], 'data_samples': [samples()]}
    )
    assert len(alone.pred_instances) > 0
    assert_close(joined.pred_sem_seg.sem_seg, alone.pred_sem_seg.sem_seg)
    for field in ('masks', 'scores', 'labels', 'bboxes'):
        assert_close(joined.pred_instances[field], alone.pred_instances[field])
    assert_close(
        joined.pred_panoptic_seg.sem_seg, alone.pred_panoptic_seg.sem_seg
    )
    assert (
        joined.pred_panoptic_seg.segments_info
        == alone.pred_panoptic_seg.segments_info
    )


def test_the_same_view_twice_changes_nothing(model, make_sample):
    image = (torch.rand(3, 64, 64) * 255).byte()
    (once, twice) = (
        FreeSegTTAModel(model).test_step(
            {
                'inputs': [[image]] * count,
                'data_samples': [
                    [make_sample(task=None)] for _ in range(count)
                ],
            }
        )[0]
        for count in (1, 2)
    )
    assert_close(twice.pred_sem_seg.sem_seg, once.pred_sem_seg.sem_seg)


def test_a_config_without_views_gets_them(tiny_run_config):
    config = copy.deepcopy(tiny_run_config)
    use_tta(config)
    assert config.model.type == 'freeseg_mm.FreeSegTTAModel'
    assert config.model.module == tiny_run_config.model
    *_, views = config.test_dataloader.dataset.pipeline
    resizes, flips, (pack,) = views.transforms
    *_, resize, _ = tiny_run_config.test_dataloader.dataset.pipeline
    assert [x['scale'] for x in resizes] == [
        tuple(round(factor * side) for side in resize.scale)
        for factor in SCALES
    ]
    assert [x['prob'] for x in flips] == [0.0, 1.0]
    assert {'flip', 'flip_direction'} <= set(pack.meta_keys)


def test_a_config_with_views_keeps_them(tiny_run_config):
    pipeline = copy.deepcopy(tiny_run_config.test_dataloader.dataset.pipeline)
    tiny_run_config.tta_pipeline = pipeline[:1]
    tiny_run_config.tta_model = ConfigDict(type='Another')
    use_tta(tiny_run_config)
    assert tiny_run_config.model.type == 'Another'
    assert len(tiny_run_config.test_dataloader.dataset.pipeline) == 1


def test_a_pipeline_without_a_size_says_what_to_do(tiny_run_config):
    dataset = tiny_run_config.test_dataloader.dataset
    for steps in (dataset.pipeline[-1:] * 2, dataset.pipeline[-1:]):
        dataset.pipeline = steps
        with pytest.raises(ValueError, match='write the views as tta_pipe'):
            use_tta(tiny_run_config)
    tiny_run_config.test_dataloader = None
    with pytest.raises(ValueError, match='expected test_dataloader.dataset'):
        use_tta(tiny_run_config)
