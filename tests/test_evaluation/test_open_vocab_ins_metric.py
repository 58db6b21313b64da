import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from freeseg_mm.evaluation import OpenVocabInsMetric, open_vocab_ins_metric
from freeseg_mm.evaluation.open_vocab_ins_metric import precision_by_recall
from freeseg_mm.structures import Vocabulary

SIZE = 40
# Stuff in between, and another order than the file's
VOCABULARY = Vocabulary.from_names(
    ['sky', 'ant', 'bee', 'grass', 'cat', 'dog', 'elk', 'fox'],
    things=['ant', 'bee', 'cat', 'dog', 'elk', 'fox'],
    unseen=['sky', 'bee', 'dog', 'fox'],
)
# The file has no fox. No object is an elk, every dog is in a crowd.
CATEGORY_IDS = {'dog': 3, 'ant': 90, 'elk': 7, 'cat': 1, 'bee': 18}
META = {'classes': VOCABULARY.names, 'vocabulary': VOCABULARY.to_dict()}


def rectangle(top, left, height, width):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[max(top, 0) : top + height, max(left, 0) : left + width] = 1
    return mask


def encode(mask):
    rle = mask_utils.encode(np.asfortranarray(mask))
    return {**rle, 'counts': rle['counts'].decode()}


def annotation(image_id, name, mask, iscrowd=0):
    rle = encode(mask)
    return {
        'image_id': image_id,
        'category_id': CATEGORY_IDS[name],
        'segmentation': rle,
        'area': int(mask_utils.area(rle)),
        'bbox': mask_utils.toBbox(rle).tolist(),
        'iscrowd': iscrowd,
    }


def write_file(path, annotations, num_images, names=tuple(CATEGORY_IDS)):
    content = {
        'images': [
            {'id': i, 'height': SIZE, 'width': SIZE, 'file_name': f'{i}.jpg'}
            for i in range(1, num_images + 1)
        ],
        'annotations': [
            {'id': number, **content}
            for number, content in enumerate(annotations, start=1)
        ],
        'categories': [{'id': CATEGORY_IDS[n], 'name': n} for n in names],
    }
    path.write_text(json.dumps(content))
    return str(path)


def predict(image_id, found=()):
    """Sample with the (class name, score, mask) found."""
    masks = [mask for _, _, mask in found]
    stacked = np.array(masks, bool).reshape(-1, SIZE, SIZE)
    return {
        'img_id': image_id,
        'ori_shape': (SIZE, SIZE),
        'pred_instances': {
            'bboxes': torch.zeros(len(found), 4),
            'labels': torch.tensor(
                [VOCABULARY.index(name) for name, _, _ in found], dtype=int
            ),
            'scores': torch.tensor([score for _, score, _ in found]),
            'masks': torch.from_numpy(stacked),
        },
    }


def evaluate(path, samples, meta=META):
    metric = OpenVocabInsMetric(ann_file=path)
    metric.dataset_meta = meta
    metric.process(None, samples)
    return metric.evaluate(size=len(samples)), metric.per_class_results


def random_scene(seed, num_images=12):
    """Ground truth and perturbed, false and doubled predictions."""
    rng = np.random.default_rng(seed)
    annotations, samples = [], []
    for image_id in range(1, num_images + 1):
        found = []
        # the first image has no ground truth
        for _ in range(rng.integers(2, 8) if image_id > 1 else 0):
            name = str(rng.choice(['ant', 'bee', 'cat', 'dog']))
            box = [*rng.integers(0, 30, 2), *rng.integers(4, 20, 2)]
            iscrowd = int(name == 'dog' or rng.random() < 0.15)
            mask = rectangle(*box)
            annotations.append(annotation(image_id, name, mask, iscrowd))
            for _ in range(rng.integers(0, 3)):
                shaken = rectangle(*(box + rng.integers(-2, 3, 4)))
                found.append((name, float(rng.random()), shaken))
        for _ in range(rng.integers(0, 4)):
            name = str(rng.choice(VOCABULARY.names))
            box = [*rng.integers(0, 30, 2), *rng.integers(4, 20, 2)]
            found.append((name, float(rng.random()), rectangle(*box)))
        # an image without predictions
        samples.append(predict(image_id, found if image_id != 5 else ()))
    return annotations, samples


def pycocotools_ap(path, samples, name):
    """AP, AP50 and AP75 of one class alone, as pycocotools reports them."""
    content = json.loads(Path(path).read_text())
    category = CATEGORY_IDS[name]
    gt = COCO()
    gt.dataset = {
        **content,
        'categories': [c for c in content['categories'] if c['name'] == name],
        'annotations': [
            a for a in content['annotations'] if a['category_id'] == category
        ],
    }
    gt.createIndex()
    detections = []
    for sample in samples:
        pred = sample['pred_instances']
        for index, label in enumerate(pred['labels'].tolist()):
            if VOCABULARY.names[label] == name:
                mask = pred['masks'][index].numpy().astype(np.uint8)
                detections.append(
                    {
                        'image_id': sample['img_id'],
                        'category_id': category,
                        'score': pred['scores'][index].item(),
                        'segmentation': encode(mask),
                    }
                )
    official = COCOeval(gt, gt.loadRes(detections), 'segm')
    official.evaluate()
    official.accumulate()
    official.summarize()
    values = 100 * official.stats[:3]
    return np.where(values < 0, np.nan, values)


@pytest.mark.parametrize('seed', range(4))
def test_equals_pycocotools_on_each_class(tmp_path, seed):
    annotations, samples = random_scene(seed)
    path = write_file(tmp_path / 'instances.json', annotations, len(samples))
    results, per_class = evaluate(path, samples)
    official = {
        name: pycocotools_ap(path, samples, name) for name in CATEGORY_IDS
    }
    assert set(per_class) == set(CATEGORY_IDS)
    for name, values in official.items():
        ours = [per_class[name][key] for key in ('AP', 'AP50', 'AP75')]
        np.testing.assert_allclose(ours, values, rtol=0, atol=1e-9)
    with_objects = ('ant', 'bee', 'cat')
    assert all(0 < official[name][0] < 100 for name in with_objects)
    assert np.isnan([official['dog'], official['elk']]).all()
    means = np.mean([official[name] for name in with_objects], axis=0)
    expected = {
        'mAP_seen': (official['ant'][0] + official['cat'][0]) / 2,
        'mAP_unseen': official['bee'][0],
        'mAP': means[0],
        'AP50': means[1],
        'AP75': means[2],
    }
    assert results == {
        f'instance/{name}': pytest.approx(value, abs=1e-9)
        for name, value in expected.items()
    }
    assert all(type(value) is float for value in results.values())


def test_means_of_all_classes_equal_pycocotools_on_all(tmp_path):
    annotations, samples = random_scene(9)
    path = write_file(tmp_path / 'instances.json', annotations, len(samples))
    results, _ = evaluate(path, samples)
    official = COCO(path)
    detections = [
        {
            'image_id': sample['img_id'],
            'category_id': CATEGORY_IDS[VOCABULARY.names[label]],
            'score': score,
            'segmentation': encode(mask.numpy().astype(np.uint8)),
        }
        for sample in samples
        for label, score, mask in zip(
            sample['pred_instances']['labels'].tolist(),
            sample['pred_instances']['scores'].tolist(),
            sample['pred_instances']['masks'],
            strict=True,
        )
        if VOCABULARY.names[label] in CATEGORY_IDS
    ]
    evaluation = COCOeval(official, official.loadRes(detections), 'segm')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ours = [results[f'instance/{key}'] for key in ('mAP', 'AP50', 'AP75')]
    np.testing.assert_allclose(ours, 100 * evaluation.stats[:3], atol=1e-9)


def test_rounding_each_class_would_change_the_mean(tmp_path):
    annotations, samples = random_scene(0)
    path = write_file(tmp_path / 'instances.json', annotations, len(samples))
    results, per_class = evaluate(path, samples)
    exact = [per_class[name]['AP'] for name in ('ant', 'cat')]
    rounded = [100 * round(value / 100, 3) for value in exact]
    assert results['instance/mAP_seen'] == pytest.approx(np.mean(exact))
    assert abs(np.mean(rounded) - np.mean(exact)) > 1e-4


def test_order_of_categories_in_the_file_does_not_matter(tmp_path):
    annotations, samples = random_scene(1)
    results = [
        evaluate(
            write_file(
                tmp_path / f'{number}.json',
                annotations,
                len(samples),
                names=names,
            ),
            samples,
        )[0]
        for number, names in enumerate([sorted(CATEGORY_IDS), CATEGORY_IDS])
    ]
    assert results[0] == results[1]


def test_ap_by_hand(tmp_path):
    ant, cat = rectangle(0, 0, 10, 10), rectangle(20, 20, 10, 10)
    path = write_file(
        tmp_path / 'instances.json',
        [
            annotation(1, 'ant', ant),
            annotation(1, 'ant', cat),
            annotation(1, 'cat', cat),
        ],
        num_images=1,
    )
    # ant: one of two found, before a false one; precision 1 at the 51 recall
    #   points 0 ... 0.5 of 101.
    # cat: 8 x 10 of 10 x 10, IoU 0.8, right at 7 of 10 thresholds
    results, _ = evaluate(
        path,
        [
            predict(
                1,
                [
                    ('ant', 0.9, ant),
                    ('ant', 0.8, rectangle(0, 30, 5, 5)),
                    ('cat', 0.7, rectangle(20, 20, 8, 10)),
                ],
            )
        ],
    )
    assert results['instance/mAP_seen'] == pytest.approx(
        (100 * 51 / 101 + 70) / 2
    )
    assert results['instance/AP75'] == pytest.approx(
        (100 * 51 / 101 + 100) / 2
    )
    assert math.isnan(results['instance/mAP_unseen'])


def test_boxes_do_not_matter(tmp_path):
    annotations, samples = random_scene(2)
    path = write_file(tmp_path / 'instances.json', annotations, len(samples))
    before, _ = evaluate(path, samples)
    for sample in samples:
        # some inside out: a negative area would hide a false positive
        boxes = sample['pred_instances']['bboxes']
        sample['pred_instances']['bboxes'] = torch.randn_like(boxes)
    assert evaluate(path, samples)[0] == before


def test_only_the_best_100_of_an_image_and_class_count(tmp_path):
    hit, miss = rectangle(0, 0, 9, 9), rectangle(20, 20, 9, 9)
    path = write_file(
        tmp_path / 'instances.json',
        [annotation(i, 'ant', hit) for i in (1, 2)],
        num_images=2,
    )
    for num_misses, expected in ((99, 100 / 100), (100, 0)):
        found = [('ant', 0.9, miss)] * num_misses + [('ant', 0.1, hit)]
        results, _ = evaluate(path, [predict(1, found), predict(2)])
        # precision 1 / 100 at the 51 of 101 recall points up to a half
        assert results['instance/mAP'] == pytest.approx(expected * 51 / 101)


def test_nothing_predicted_is_zero(tmp_path, warned):
    path = write_file(
        tmp_path / 'instances.json',
        [annotation(1, 'ant', rectangle(0, 0, 9, 9))],
        num_images=2,
    )
    results, per_class = evaluate(path, [predict(1), predict(2)])
    assert results['instance/mAP_seen'] == 0
    assert results['instance/mAP'] == results['instance/AP50'] == 0
    assert math.isnan(results['instance/mAP_unseen'])
    assert math.isnan(per_class['cat']['AP'])
    (text,) = warned()
    assert "mAP over the set 'unseen'" in text


def test_classes_the_file_lacks_are_left_out_and_counted(tmp_path, warned):
    mask = rectangle(0, 0, 9, 9)
    path = write_file(
        tmp_path / 'instances.json',
        [annotation(1, 'ant', mask), annotation(2, 'bee', mask)],
        num_images=2,
    )
    hits = [('fox', 0.99, mask), ('ant', 0.5, mask), ('bee', 0.4, mask)]
    results, _ = evaluate(path, [predict(1, hits[:2]), predict(2, hits)])
    # the ant is the best of 2 ants, and so is the bee: a fox is no rival
    assert results['instance/mAP_seen'] == pytest.approx(100)
    (text,) = warned()
    assert text.startswith('2 predictions were left out: ')
    assert text.endswith("instances.json has no category ['fox']")


def test_only_the_images_tested_count(tmp_path, warned):
    mask = rectangle(0, 0, 9, 9)
    path = write_file(
        tmp_path / 'instances.json',
        [annotation(i, name, mask) for i in (1, 2) for name in ('ant', 'bee')],
        num_images=3,
    )
    hits = [('ant', 0.5, mask), ('bee', 0.5, mask)]
    results, _ = evaluate(path, [predict(2, hits)])
    assert results['instance/mAP'] == pytest.approx(100)
    (text,) = warned()
    assert '2 of 3 images of' in text
    assert 'were not tested' in text


def test_predictions_can_be_kept(tmp_path):
    mask = rectangle(0, 0, 9, 9)
    path = write_file(
        tmp_path / 'gt.json', [annotation(1, 'bee', mask)], num_images=1
    )
    metric = OpenVocabInsMetric(
        ann_file=path, outfile_prefix=str(tmp_path / 'kept')
    )
    metric.dataset_meta = META
    metric.process(None, [predict(1, [('bee', 0.5, mask)])])
    metric.evaluate(size=1)
    (kept,) = json.loads((tmp_path / 'kept.segm.json').read_text())
    assert (kept['category_id'], kept['score']) == (18, 0.5)


# --- engines ---------------------------------------------------------------


def numbered(seed, num_images=6, num_categories=5):
    """Ground truth and detections for an engine.

    Crowds, empty masks, equal scores, more than 100 detections of a class in
    an image, a class without an object and one without a detection, an image
    without either.
    """
    rng = np.random.default_rng(seed)
    gt = {
        'images': [
            {'id': i, 'height': SIZE, 'width': SIZE}
            for i in range(1, num_images + 1)
        ],
        'annotations': [],
        'categories': [
            {'id': i, 'name': str(i)} for i in range(1, num_categories + 1)
        ],
    }
    detections = []
    for image in range(1, num_images):
        for _ in range(rng.integers(0, 9)):
            category = int(rng.integers(2, num_categories + 1))
            box = [*rng.integers(0, 30, 2), *rng.integers(2, 25, 2)]
            code = mask_utils.encode(np.asfortranarray(rectangle(*box)))
            gt['annotations'].append(
                {
                    'id': len(gt['annotations']) + 1,
                    'image_id': image,
                    'category_id': category,
                    'segmentation': code,
                    'area': float(mask_utils.area(code)),
                    'iscrowd': int(rng.random() < 0.25),
                }
            )
            copies = 110 if rng.random() < 0.1 else rng.integers(0, 6)
            for _ in range(copies if category < num_categories else 0):
                shaken = rectangle(*(box + rng.integers(-3, 4, 4)))
                shaken *= rng.random() < 0.95  # or it is empty
                detections.append(
                    {
                        'image_id': image,
                        'category_id': int(
                            rng.choice([category, category, 1])
                        ),
                        'segmentation': mask_utils.encode(
                            np.asfortranarray(shaken)
                        ),
                        'score': float(rng.integers(1, 8)) / 8,
                    }
                )
    return gt, detections


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('without', ['nothing', 'detections', 'objects'])
def test_precision_of_engines_is_one_to_the_last_bit(seed, without):
    found = []
    for engine in ('hotcoco', 'pycocotools'):
        gt, detections = numbered(seed)
        if without == 'objects':
            gt['annotations'] = []
        if without == 'detections':
            detections = []
        found.append(precision_by_recall(gt, detections, engine))
    ours, theirs = found
    assert ours.shape == theirs.shape == (10, 101, 5)
    assert ours.tobytes() == theirs.tobytes()
    assert (ours[..., 0] == -1).all()
    assert (0 < ours.max() <= 1) == (without == 'nothing')


@pytest.mark.parametrize('seed', range(3))
def test_precision_is_that_of_coco_s_own_protocol(seed):
    gt, detections = numbered(seed)
    ours = precision_by_recall(gt, detections, 'hotcoco')
    official = COCO()
    official.dataset = gt
    official.createIndex()
    evaluation = COCOeval(official, official.loadRes(detections), 'segm')
    evaluation.evaluate()
    evaluation.accumulate()
    # all areas, 100 detections
    theirs = np.ascontiguousarray(evaluation.eval['precision'][..., 0, 2])
    assert ours.tobytes() == theirs.tobytes()


def test_ids_of_images_may_be_any_numbers(tmp_path):
    """An engine is handed numbers from 1, in the order of the ids."""
    annotations, samples = random_scene(3)
    path = write_file(tmp_path / 'instances.json', annotations, len(samples))
    before, _ = evaluate(path, samples)
    content = json.loads(Path(path).read_text())
    first = -3  # so that some are negative and one is 0
    for image in content['images']:
        image['id'] += first
    for each in content['annotations']:
        each['image_id'] += first
        del each['bbox']
    Path(path).write_text(json.dumps(content))
    for sample in samples:
        sample['img_id'] += first
    assert evaluate(path, samples)[0] == before


def test_without_hotcoco_pycocotools_serves(tmp_path, monkeypatch):
    path = write_file(tmp_path / 'instances.json', [], num_images=1)
    assert OpenVocabInsMetric(ann_file=path).engine == 'hotcoco'
    monkeypatch.setattr(
        open_vocab_ins_metric, 'find_spec', lambda name: name != 'hotcoco'
    )
    assert OpenVocabInsMetric(ann_file=path).engine == 'pycocotools'
    with pytest.raises(ImportError, match=r"'hotcoco' is not .*\[fast\]"):
        OpenVocabInsMetric(ann_file=path, engine='hotcoco')


def test_what_is_held_grows_with_detections_not_pixels(tmp_path):
    """A code, however large the image."""
    held = []
    for size in (100, 1000):
        content = {
            'images': [{'id': 1, 'height': size, 'width': size}],
            'annotations': [],
            'categories': [{'id': 90, 'name': 'ant'}],
        }
        path = tmp_path / f'{size}.json'
        path.write_text(json.dumps(content))
        metric = OpenVocabInsMetric(ann_file=str(path))
        metric.dataset_meta = META
        masks = torch.zeros(20, size, size, dtype=torch.bool)
        masks[:, 10:60, 10:60] = True
        sample = predict(1)
        sample['pred_instances'] = {
            'bboxes': torch.zeros(20, 4),
            'labels': torch.ones(20, dtype=int),
            'scores': torch.ones(20),
            'masks': masks,
        }
        metric.process(None, [sample])
        held.append(len(pickle.dumps(metric.results)))
    assert held[1] < 1.2 * held[0]
    assert held[0] < 20 * 1000


# --- refusals --------------------------------------------------------------


def test_unknown_engine_is_refused(tmp_path):
    path = write_file(tmp_path / 'instances.json', [], num_images=1)
    with pytest.raises(ValueError, match="engine 'fast' is none of .*hotcoco"):
        OpenVocabInsMetric(ann_file=path, engine='fast')


@pytest.fixture
def metric(tmp_path):
    metric = OpenVocabInsMetric(
        ann_file=write_file(tmp_path / 'instances.json', [], num_images=1)
    )
    metric.dataset_meta = META
    return metric


@pytest.mark.parametrize('problem', ['missing', 'stuff'])
def test_category_that_is_no_thing_of_the_vocabulary_is_named(metric, problem):
    things = ['ant', 'bee', 'dog', 'elk']
    names = things if problem == 'missing' else [*things, 'cat']
    vocabulary = Vocabulary.from_names(names, things=things, name='small')
    with pytest.raises(
        ValueError,
        match=r"instances.json: categories \['cat'\] are no thing classes of "
        r"the vocabulary 'small' \(4 things\)",
    ):
        metric.dataset_meta = {'vocabulary': vocabulary.to_dict()}


def test_image_the_file_lacks_is_named(metric):
    with pytest.raises(
        ValueError, match='image 7 is not among the 1 images of .*instances'
    ):
        metric.process(None, [predict(7)])


def test_masks_of_another_size_are_named(metric):
    sample = predict(1)
    sample['pred_instances']['masks'] = torch.zeros(0, 20, 20)
    with pytest.raises(
        ValueError, match=r'image 1, pred_instances: masks .* \(20, 20\) .*40'
    ):
        metric.process(None, [sample])


@pytest.mark.parametrize('label', [-1, 8])
def test_label_out_of_range_is_named(metric, label):
    sample = predict(1, [('ant', 0.5, rectangle(0, 0, 5, 5))])
    sample['pred_instances']['labels'][0] = label
    with pytest.raises(ValueError, match=f'labels {label} to {label}; expect'):
        metric.process(None, [sample])


def test_missing_prediction_names_the_image(metric):
    with pytest.raises(ValueError, match="image 1: .*no 'pred_instances'"):
        metric.process(None, [{'img_id': 1}])


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match='no instances file gone.json'):
        OpenVocabInsMetric(ann_file='gone.json')


LISTS = '"images": [], "annotations": [], "categories": '


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('{"images": [', ' is not JSON'),
        ('[]', ': expected a JSON object, got list'),
        ('{"images": []}', ": expected lists .* none under .'annotations'"),
        (
            '{"images": [], "annotations": {}, "categories": []}',
            '.*none under',
        ),
        (f'{{{LISTS}[1]}}', r': categories\[0\] is no JSON object: 1'),
        (f'{{{LISTS}[{{"id": 1}}]}}', ": an entry lacks the key 'name'"),
        (f'\ufeff{{{LISTS}[]}}', ': Unexpected UTF-8 BOM'),
        (
            '{"images": [], "categories": [], "annotations": [{"image_id": 1, '
            '"id": 1, "category_id": 9, "area": 1, "segmentation": 0}]}',
            ': annotation 1 has category_id 9, which is not among the cat',
        ),
    ],
)
def test_file_that_is_no_instances_file_is_named(tmp_path, text, words):
    path = tmp_path / 'other.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'other.json{words}'):
        OpenVocabInsMetric(ann_file=str(path))


@pytest.mark.parametrize('area', [None, '4', True, -1, float('inf')])
def test_area_is_a_number(tmp_path, area):
    entry = {**annotation(1, 'ant', rectangle(0, 0, 5, 5)), 'area': area}
    path = write_file(tmp_path / 'areas.json', [entry], 1)
    with pytest.raises(
        ValueError, match=r'areas\.json: annotations\[0\]: area is .* expected'
    ):
        OpenVocabInsMetric(ann_file=str(path))


@pytest.mark.parametrize('ids', [(0, 1), (1, 1)])
def test_annotation_ids_pycocotools_cannot_use_are_named(tmp_path, ids):
    mask = rectangle(0, 0, 5, 5)
    path = write_file(
        tmp_path / 'ids.json',
        [{**annotation(1, 'ant', mask), 'id': number} for number in ids],
        num_images=1,
    )
    with pytest.raises(
        ValueError, match=rf'ids.json: annotation ids .*got \[{ids[0]}\]'
    ):
        OpenVocabInsMetric(ann_file=path)


@pytest.mark.parametrize(
    'segmentation',
    [
        [[0, 0, 1e9, 0, 1e9, 1e9]],
        {'size': [40, 60], 'counts': [3]},
        {'size': [40, 60], 'counts': '01'},
        [],
    ],
)
def test_masks_that_would_crash_pycocotools_are_named(tmp_path, segmentation):
    entry = annotation(1, 'ant', rectangle(0, 0, 5, 5))
    path = write_file(
        tmp_path / 'gt.json',
        [{**entry, 'id': 7, 'segmentation': segmentation}],
        num_images=1,
    )
    with pytest.raises(ValueError, match='gt.json: annotation 7: its segm'):
        OpenVocabInsMetric(ann_file=path)
