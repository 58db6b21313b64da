"""mIoU on real labels: our files and metric against mmseg's."""

import json

import numpy as np
import pytest
import torch

from freeseg_mm.datasets.preparation.ade20k import prepare_ade20k
from freeseg_mm.datasets.preparation.coco import prepare_coco
from freeseg_mm.datasets.preparation.split_preparation import DatasetLayout
from freeseg_mm.datasets.preparation.voc import prepare_voc
from freeseg_mm.evaluation import OpenVocabSemMetric
from freeseg_mm.structures import Vocabulary

# Of 182 ids (0-based here), those that COCO-Stuff has no class for.
COCO_UNUSED = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
COCO_LABELS = {
    raw: label
    for label, raw in enumerate(i for i in range(182) if i not in COCO_UNUSED)
}
MOST_IMAGES = 20


@pytest.fixture(params=['coco', 'ade20k', 'voc'])
def real(request, samples_dir, tmp_path):
    """Layout of a prepared sample, and the raw label file of an image."""
    folder, split, raw, prepare = {
        'coco': (
            'coco_stuff200',
            'val2017',
            'stuffthingmaps/val2017',
            prepare_coco,
        ),
        'ade20k': (
            'ade20k_sample',
            'validation',
            'ADEChallengeData2016/annotations/validation',
            prepare_ade20k,
        ),
        'voc': (
            'voc2012_sample',
            'val',
            'VOC2012/SegmentationClass',
            prepare_voc,
        ),
    }[request.param]
    source = samples_dir / folder
    if not source.is_dir():
        pytest.skip(f'no sample data in {source}')
    prepare(source, tmp_path, splits=[split], workers=1, subset=True)
    return request.param, DatasetLayout(tmp_path, split), source / raw


def mmseg_gt(kind, path):
    """The ground truth as mmseg's pipeline loads it, 255 is ignored."""
    loading = pytest.importorskip('mmseg.datasets.transforms.loading')
    results = loading.LoadAnnotations()(
        {
            'seg_map_path': str(path),
            'reduce_zero_label': kind != 'coco',
            'label_map': COCO_LABELS if kind == 'coco' else None,
            'seg_fields': [],
        }
    )
    return torch.from_numpy(results['gt_seg_map'])


def shaken(gt, num_classes, rng):
    """The ground truth moved by some pixels, a part of its classes swapped."""
    moved = np.roll(gt.numpy(), rng.integers(-9, 10, 2), axis=(0, 1))
    table = np.arange(256)
    swapped = rng.random(256) < 0.3
    table[swapped] = rng.integers(0, num_classes, swapped.sum())
    moved = table[moved]
    return np.where(moved >= num_classes, 0, moved)


def test_miou_equals_mmseg(real):
    kind, layout, raw = real
    mmseg = pytest.importorskip('mmseg.evaluation.metrics.iou_metric')
    vocabulary = Vocabulary.load(layout.root / 'vocabulary.json')
    num_classes = len(vocabulary)
    ours, theirs = OpenVocabSemMetric(), mmseg.IoUMetric()
    ours.dataset_meta = {'vocabulary': vocabulary.to_dict()}
    theirs.dataset_meta = {'classes': vocabulary.names}
    rng = np.random.default_rng(0)
    content = json.loads(layout.panoptic_json.read_text())
    images = content['images'][:MOST_IMAGES]
    assert len(images) >= 5
    for image in images:
        name = image['file_name'].rpartition('.')[0] + '.png'
        gt = mmseg_gt(kind, raw / name)
        pred = torch.from_numpy(shaken(gt, num_classes, rng))[None]
        theirs.process(
            None,
            [
                {
                    'pred_sem_seg': {'data': pred},
                    'gt_sem_seg': {'data': gt[None]},
                }
            ],
        )
        ours.process(
            None,
            [
                {
                    'img_id': image['id'],
                    'ori_shape': (image['height'], image['width']),
                    'sem_seg_path': str(layout.semantic_pngs / name),
                    'pred_sem_seg': {'sem_seg': pred},
                }
            ],
        )
    both, union, _, _ = (
        sum(areas).double().numpy()
        for areas in zip(*theirs.results, strict=True)
    )
    with np.errstate(invalid='ignore'):
        iou = 100 * both / union
    rounded = theirs.evaluate(len(images))['mIoU']
    results = ours.evaluate(len(images))
    assert 10 < results['semantic/mIoU'] < 90
    assert results['semantic/mIoU'] == pytest.approx(np.nanmean(iou), abs=1e-6)
    assert results['semantic/mIoU'] == pytest.approx(rounded, abs=0.0051)
    is_seen = np.array(vocabulary.is_seen)
    for suffix, members in (('seen', is_seen), ('unseen', ~is_seen)):
        values = iou[members]
        values = values[~np.isnan(values)]
        expected = values.mean() if values.size else np.nan
        assert results[f'semantic/mIoU_{suffix}'] == pytest.approx(
            expected, abs=1e-6, nan_ok=True
        )
    found = [c['IoU'] for c in ours.per_class_results.values()]
    np.testing.assert_allclose(found, iou, rtol=0, atol=1e-6)
