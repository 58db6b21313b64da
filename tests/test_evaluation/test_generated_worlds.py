"""The three metrics against other implementations, on generated datasets.

Each world has label files on disk and predictions; what it is made to hold
is checked, so that no case is easier than its name says.
"""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hotcoco.panoptic import PanopticEval
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmengine.registry import DefaultScope
from panopticapi_stand_in import PQStat, with_panopticapi
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from stock_metrics import stock_panoptic

from freeseg_mm.evaluation import (
    OpenVocabInsMetric,
    OpenVocabPanMetric,
    OpenVocabSemMetric,
)
from freeseg_mm.evaluation.ground_truth import read_semantic_gt
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import (
    decode_panoptic_png,
    encode_panoptic_png,
)

IMAGES = 3
TOLERANCE = {'rtol': 0, 'atol': 1e-6}  # percent


@dataclass(frozen=True)
class Kind:
    """What a world is made of; shares are probabilities."""

    segments: int = 14
    classes: int = 5
    size: int = 32
    crowds: float = 0.1
    void: float = 0.2
    kept: float = 0.8
    copies: int = 1  # predicted objects of each true one


KINDS = {
    'plain': Kind(),
    'crowds': Kind(crowds=0.5),
    'void': Kind(void=0.6),
    'overlaps': Kind(copies=6),
    'segments_300': Kind(segments=300, size=128, crowds=0.02, void=0.02),
    'empty_predictions': Kind(kept=0.0),
    'one_class': Kind(classes=1),
    'all_void': Kind(void=1.0),
}


@dataclass
class World:
    """A dataset on disk with predictions.

    ``samples`` have ground truth and, as a model gives them, predictions;
    ``objects`` are the predicted ones as COCO results.
    """

    vocabulary: Vocabulary
    panoptic_json: str
    instances_json: str
    folder: str
    samples: list
    objects: list

    @property
    def meta(self):
        return {'vocabulary': self.vocabulary.to_dict()}


def encode(mask):
    rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {**rle, 'counts': rle['counts'].decode()}


def shift(ids, rng):
    return np.roll(ids, rng.integers(-1, 2, 2), axis=(0, 1))


def draw_gt(kind, rng):
    """Id map of tiles, some void, and its segments."""
    ids = np.zeros((kind.size, kind.size), np.int64)
    side = int(np.ceil(np.sqrt(kind.segments)))
    step = kind.size // side
    numbers = rng.permutation(side**2)[: kind.segments] + 1
    for place, number in enumerate(numbers):
        top, left = place // side * step, place % side * step
        # tiles may grow over their neighbours
        grow = rng.integers(0, 3, 2)
        rows = slice(top, top + step + grow[0])
        ids[rows, left : left + step + grow[1]] = (
            0 if rng.random() < kind.void else number * 700
        )
    segments = [
        {
            'id': int(i),
            'label': int(rng.integers(kind.classes)),
            'iscrowd': int(rng.random() < kind.crowds),
        }
        for i in np.unique(ids)
        if i
    ]
    return ids, segments


def draw_prediction(ids, segments, kind, rng):
    """Panoptic ids with labels in them, all void having the label C."""
    found = np.full(ids.shape, kind.classes, np.int64)
    for number, segment in enumerate(segments, start=1):
        if rng.random() >= kind.kept:
            continue
        label = segment['label']
        if rng.random() < 0.15:
            label = int(rng.integers(kind.classes))
        mask = shift(ids == segment['id'], rng)
        found[mask] = INSTANCE_OFFSET * number + label
    return found


def draw_objects(ids, segments, things, kind, rng):
    """(mask, label, score) of overlapping objects, many scores alike."""
    objects = []
    for segment in segments:
        if segment['label'] not in things:
            continue
        for _ in range(kind.copies):
            if rng.random() >= kind.kept:
                continue
            mask = ids == segment['id']
            for _ in range(rng.integers(0, 3)):
                mask = shift(mask, rng)
            label = segment['label']
            if rng.random() < 0.15:
                label = int(rng.choice(sorted(things)))
            objects.append((mask, label, float(rng.integers(1, 6)) / 5))
    return objects


def make_world(kind, seed, folder):
    rng = np.random.default_rng(seed)
    names = [f'class {i}' for i in range(kind.classes)]
    vocabulary = Vocabulary.from_names(
        names, things=names[::2], unseen=names[2:]
    )
    things = set(range(0, kind.classes, 2))
    content = {'images': [], 'annotations': [], 'categories': []}
    instances = {'images': [], 'annotations': [], 'categories': []}
    for label, name in enumerate(names):
        category = {'id': 10 * label + 3, 'name': name}
        content['categories'].append(
            {**category, 'isthing': int(label in things)}
        )
        if label in things:
            instances['categories'].append(category)
    samples, objects = [], []
    for image in range(1, IMAGES + 1):
        ids, segments = draw_gt(kind, rng)
        path = folder / f'{image}.png'
        encode_panoptic_png(ids, path)
        infos = [
            {
                'id': s['id'],
                'category_id': 10 * s['label'] + 3,
                'iscrowd': s['iscrowd'],
                'area': int((ids == s['id']).sum()),
                'bbox': mask_utils.toBbox(encode(ids == s['id'])).tolist(),
            }
            for s in segments
        ]
        about = {
            'id': image,
            'file_name': f'{image}.jpg',
            'height': kind.size,
            'width': kind.size,
        }
        content['images'].append(about)
        instances['images'].append(about)
        content['annotations'].append(
            {
                'image_id': image,
                'file_name': path.name,
                'segments_info': infos,
            }
        )
        for segment, info in zip(segments, infos, strict=True):
            if segment['label'] in things:
                instances['annotations'].append(
                    {
                        **info,
                        'id': len(instances['annotations']) + 1,
                        'image_id': image,
                        'segmentation': encode(ids == segment['id']),
                    }
                )
        panoptic = draw_prediction(ids, segments, kind, rng)
        found = draw_objects(ids, segments, things, kind, rng)
        objects += [
            {
                'image_id': image,
                'category_id': 10 * label + 3,
                'segmentation': encode(mask),
                'score': score,
            }
            for mask, label, score in found
        ]
        masks = np.array([mask for mask, _, _ in found], bool)
        samples.append(
            {
                'img_id': image,
                'img_path': f'{image}.jpg',
                'ori_shape': ids.shape,
                'seg_map_path': str(path),
                'segments': segments,
                'pred_sem_seg': {
                    'sem_seg': torch.from_numpy(
                        rng.integers(0, kind.classes, (1, *ids.shape))
                    )
                },
                'pred_instances': {
                    'masks': torch.from_numpy(masks.reshape(-1, *ids.shape)),
                    'labels': torch.tensor(
                        [label for _, label, _ in found], dtype=torch.long
                    ),
                    'scores': torch.tensor(
                        [score for _, _, score in found], dtype=torch.float64
                    ),
                    'bboxes': torch.zeros(len(found), 4),
                },
                'pred_panoptic_seg': {
                    'sem_seg': torch.from_numpy(panoptic)[None],
                    'segments_info': [
                        {'id': int(i), 'label': int(i) % INSTANCE_OFFSET}
                        for i in np.unique(panoptic)
                        if i != kind.classes
                    ],
                },
            }
        )
    for name, value in (('panoptic', content), ('instances', instances)):
        (folder / f'{name}.json').write_text(json.dumps(value))
    return World(
        vocabulary,
        str(folder / 'panoptic.json'),
        str(folder / 'instances.json'),
        str(folder),
        samples,
        objects,
    )


@pytest.fixture(
    params=[(name, seed) for name in KINDS for seed in (0, 1)],
    ids=lambda param: f'{param[0]}-{param[1]}',
)
def world(request, tmp_path):
    name, seed = request.param
    return make_world(KINDS[name], seed, tmp_path)


def evaluate(metric, world):
    metric.dataset_meta = world.meta
    metric.process(None, world.samples)
    return metric.evaluate(size=IMAGES)


def split_values(results, task, name):
    """All, seen, unseen."""
    return [
        results[f'{task}/{name}{suffix}']
        for suffix in ('', '_seen', '_unseen')
    ]


def means(values, is_seen):
    """Over all, seen and unseen classes that have a value."""
    is_seen = np.array(is_seen)
    members = (np.ones_like(is_seen), is_seen, ~is_seen)
    found = [values[member & ~np.isnan(values)] for member in members]
    return [v.mean() if len(v) else np.nan for v in found]


# --- panoptic --------------------------------------------------------------


def reference_pq(world):
    """PQ, SQ and RQ of each class (Kirillov et al., Eq. 1), in percent."""
    tp, fp, fn, iou_sum = np.zeros((4, len(world.vocabulary)))
    for sample in world.samples:
        gt = decode_panoptic_png(sample['seg_map_path'])
        pred = sample['pred_panoptic_seg']['sem_seg'][0].numpy()
        real = [(gt == s['id'], s) for s in sample['segments']]
        missed = {s['id'] for _, s in real if not s['iscrowd']}
        for segment in sample['pred_panoptic_seg']['segments_info']:
            mask, label = pred == segment['id'], segment['label']
            ignored = gt == 0
            crowd = None
            matched = False
            for theirs, s in real:
                if s['label'] != label:
                    continue
                if s['iscrowd']:
                    crowd = theirs  # the last one, as in panopticapi
                    continue
                union = (theirs | (mask & (gt != 0))).sum()
                iou = (mask & theirs).sum() / union
                if iou > 0.5:
                    matched = True
                    missed.remove(s['id'])
                    tp[label] += 1
                    iou_sum[label] += iou
            if crowd is not None:
                ignored = ignored | crowd
            if not matched and (mask & ignored).sum() <= mask.sum() / 2:
                fp[label] += 1
        for _, s in real:
            fn[s['label']] += s['id'] in missed
    weight = tp + fp / 2 + fn / 2
    with np.errstate(invalid='ignore', divide='ignore'):
        sq = np.where(tp > 0, iou_sum / tp, np.where(weight > 0, 0, np.nan))
        return 100 * iou_sum / weight, 100 * sq, 100 * tp / weight


def test_panoptic_equals_the_definition(world):
    results = evaluate(OpenVocabPanMetric(), world)
    for name, values in zip(
        ('PQ', 'SQ', 'RQ'), reference_pq(world), strict=True
    ):
        np.testing.assert_allclose(
            split_values(results, 'panoptic', name),
            means(values, world.vocabulary.is_seen),
            **TOLERANCE,
        )


def test_panoptic_equals_mmdet(world):
    metric = OpenVocabPanMetric()
    results = evaluate(metric, world)
    metric.process(None, world.samples)  # an evaluation forgets its counts
    with with_panopticapi(), DefaultScope.overwrite_default_scope('mmdet'):
        stock = stock_panoptic(
            world.vocabulary, world.panoptic_json, world.folder
        )
        for sample in world.samples:
            pred = sample['pred_panoptic_seg']['sem_seg']
            # it writes into its input
            copied = {**sample, 'pred_panoptic_seg': {'sem_seg': pred.clone()}}
            stock.process({}, [copied])
        stats = PQStat()
        for counts in stock.results:
            stats += counts
        theirs = stock.evaluate(size=IMAGES)
    for label, counts in enumerate(sum(metric.results).T):
        of_class = stats[10 * label + 3]
        assert counts.tolist() == [  # to the last bit
            of_class.tp, of_class.fp, of_class.fn, of_class.iou
        ]  # fmt: skip
    for name in ('PQ', 'SQ', 'RQ'):
        ours = results[f'panoptic/{name}']
        # no class occurs: we say so, mmdet says 0
        expected = theirs[f'coco_panoptic/{name}']
        np.testing.assert_allclose(
            0 if np.isnan(ours) else ours, expected, **TOLERANCE
        )


def test_panoptic_equals_hotcoco(world, tmp_path):
    metric = OpenVocabPanMetric()
    evaluate(metric, world)
    folder = tmp_path / 'predicted'
    folder.mkdir()
    annotations = []
    for sample in world.samples:
        pred = sample['pred_panoptic_seg']
        ids = pred['sem_seg'][0].numpy()
        segments = [
            {'id': segment['id'], 'category_id': 10 * segment['label'] + 3}
            for segment in pred['segments_info']
        ]
        known = np.isin(ids, [segment['id'] for segment in segments])
        name = f'{sample["img_id"]}.png'
        encode_panoptic_png(np.where(known, ids, 0), folder / name)
        annotations.append(
            {
                'image_id': sample['img_id'],
                'file_name': name,
                'segments_info': segments,
            }
        )
    path = tmp_path / 'predicted.json'
    path.write_text(json.dumps({'annotations': annotations}))
    theirs = PanopticEval(
        world.panoptic_json, path, gt_folder=world.folder, pred_folder=folder
    )
    theirs.evaluate()
    of_class = theirs.results()['per_class']
    for label, name in enumerate(world.vocabulary.names):
        found = of_class[10 * label + 3]
        ours = metric.per_class_results[name]
        for key in ('PQ', 'SQ', 'RQ'):
            value = found[key.lower()]
            expected = np.nan if value < 0 else 100 * value
            np.testing.assert_allclose(ours[key], expected, rtol=1e-13)


# --- instance --------------------------------------------------------------


def pycocotools_ap(world):
    """AP, AP50 and AP75 of each thing, in percent; the three stats."""
    gt = COCO(world.instances_json)
    if world.objects:
        found = gt.loadRes(world.objects)
    else:
        found = COCO()
        found.dataset = {**gt.dataset, 'annotations': []}
        found.createIndex()
    official = COCOeval(gt, found, 'segm')
    official.evaluate()
    official.accumulate()
    official.summarize()
    # (IoU threshold, recall, class, all areas, 100 detections)
    precision = official.eval['precision'][..., 0, 2]
    precision = np.where(precision < 0, np.nan, 100 * precision)
    stats = np.where(official.stats[:3] < 0, np.nan, 100 * official.stats[:3])
    return precision.mean(axis=(0, 1)), stats


def test_instance_equals_pycocotools(world):
    results = evaluate(
        OpenVocabInsMetric(ann_file=world.instances_json), world
    )
    ap, stats = pycocotools_ap(world)
    np.testing.assert_allclose(
        [results[f'instance/{name}'] for name in ('mAP', 'AP50', 'AP75')],
        stats,
        **TOLERANCE,
    )
    np.testing.assert_allclose(
        split_values(results, 'instance', 'mAP'),
        means(ap, world.vocabulary.is_seen[::2]),
        **TOLERANCE,
    )


def test_instance_engines_agree(world):
    """To the last bit: many scores are alike, and some classes are absent."""
    found = []
    for engine in ('hotcoco', 'pycocotools'):
        metric = OpenVocabInsMetric(
            ann_file=world.instances_json, engine=engine
        )
        found.append((evaluate(metric, world), metric.per_class_results))
    np.testing.assert_equal(*found)


# --- semantic --------------------------------------------------------------


def test_semantic_equals_mmseg(world):
    mmseg = pytest.importorskip('mmseg.evaluation.metrics.iou_metric')
    results = evaluate(OpenVocabSemMetric(), world)
    num_classes = len(world.vocabulary)
    totals = np.zeros((2, num_classes))
    for sample in world.samples:
        both, union, _, _ = mmseg.IoUMetric.intersect_and_union(
            sample['pred_sem_seg']['sem_seg'][0],
            torch.from_numpy(read_semantic_gt(sample, num_classes)),
            num_classes,
            ignore_index=-1,
        )
        totals += np.stack([both.numpy(), union.numpy()])
    with np.errstate(invalid='ignore'):
        iou = 100 * totals[0] / totals[1]
    np.testing.assert_allclose(
        split_values(results, 'semantic', 'mIoU'),
        means(iou, world.vocabulary.is_seen),
        **TOLERANCE,
    )


# --- the cases themselves --------------------------------------------------


@pytest.mark.parametrize('name', KINDS)
def test_worlds_hold_what_they_are_for(name, tmp_path):
    world = make_world(KINDS[name], 0, tmp_path)
    segments = [len(sample['segments']) for sample in world.samples]
    crowds = sum(s['iscrowd'] for x in world.samples for s in x['segments'])
    if name == 'all_void':
        assert segments == [0] * IMAGES
        return
    assert crowds > (9 if name == 'crowds' else 0)
    if name == 'segments_300':
        assert min(segments) > 280
        assert len(world.objects) / IMAGES > 100
    elif name == 'empty_predictions':
        assert world.objects == []
    elif name == 'overlaps':
        masks = world.samples[0]['pred_instances']['masks']
        assert masks.sum(dim=0).max() > 4
    if name != 'empty_predictions':
        pq = reference_pq(world)[0]
        assert 0 < np.nanmean(pq) < 100
        assert 0 < pycocotools_ap(world)[1][0] < 100
