"""LVIS AP: by hand, against hotcoco's own LVIS evaluation, refusals."""

import json
import math

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from freeseg_mm.evaluation import OpenVocabInsMetric, OpenVocabLvisMetric
from freeseg_mm.structures import Vocabulary

SIZE = 40
NAMES = ['ant', 'bee', 'cat', 'dog']
FREQUENCY = {'ant': 'r', 'bee': 'c', 'cat': 'f', 'dog': 'f'}
VOCABULARY = Vocabulary.from_names(NAMES, unseen=['ant'])
META = {'classes': VOCABULARY.names, 'vocabulary': VOCABULARY.to_dict()}
FULL_MARKS, NOTHING = pytest.approx(100), pytest.approx(0)


def square(top, left, side=10):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


HERE, THERE, ELSEWHERE = square(0, 0), square(20, 20), square(0, 25)


def id_of(name):
    return NAMES.index(name) + 1


def encode(mask):
    rle = mask_utils.encode(np.asfortranarray(mask))
    return {**rle, 'counts': rle['counts'].decode()}


def image(objects=(), absent=(), in_part=()):
    """Objects (name, mask), and names of the two lists."""
    return {
        'objects': objects,
        'neg_category_ids': [id_of(name) for name in absent],
        'not_exhaustive_category_ids': [id_of(name) for name in in_part],
    }


def write(path, images):
    annotations = [
        {
            'image_id': number,
            'category_id': id_of(name),
            'segmentation': encode(mask),
            'area': int(mask.sum()),
            'bbox': mask_utils.toBbox(encode(mask)).tolist(),
        }
        for number, each in enumerate(images, 1)
        for name, mask in each['objects']
    ]
    content = {
        'images': [
            {
                'id': number,
                'height': SIZE,
                'width': SIZE,
                **{k: v for k, v in each.items() if k != 'objects'},
            }
            for number, each in enumerate(images, 1)
        ],
        'annotations': [
            {'id': number, **entry}
            for number, entry in enumerate(annotations, 1)
        ],
        'categories': [
            {'id': id_of(name), 'name': name, 'frequency': FREQUENCY[name]}
            for name in NAMES
        ],
    }
    path.write_text(json.dumps(content))
    return str(path)


def predict(number, found):
    """Sample with the (name, score, mask) found."""
    masks = np.array([mask for _, _, mask in found], bool)
    return {
        'img_id': number,
        'ori_shape': (SIZE, SIZE),
        'pred_instances': {
            'bboxes': torch.zeros(len(found), 4),
            'labels': torch.tensor(
                [NAMES.index(name) for name, _, _ in found], dtype=int
            ),
            'scores': torch.tensor([score for _, score, _ in found]),
            'masks': torch.from_numpy(masks.reshape(-1, SIZE, SIZE)),
        },
    }


@pytest.fixture
def evaluate(tmp_path):
    """Metrics, without their prefix, of images and what is found in each."""

    def run(images, found, kind=OpenVocabLvisMetric, engine=None):
        path = write(tmp_path / 'lvis.json', images)
        metric = kind(ann_file=path, engine=engine)
        metric.dataset_meta = META
        samples = [predict(*each) for each in enumerate(found, 1)]
        metric.process(None, samples)
        metrics = metric.evaluate(size=len(samples))
        return {
            key.removeprefix('instance/'): value
            for key, value in metrics.items()
        }

    return run


ENGINES = pytest.mark.parametrize('engine', ['hotcoco', 'pycocotools'])


# --- by hand -----------------------------------------------------------------


@ENGINES
def test_a_class_the_image_was_not_searched_for_does_not_count(
    evaluate, engine
):
    """The same false cat: nobody looked for cats, or there is none."""
    hit, false = ('cat', 0.5, HERE), ('cat', 0.9, THERE)
    with_cat = image([('cat', HERE)])
    unknown, absent = image(), image(absent=['cat'])
    found = [[hit], [false]]
    assert evaluate([with_cat, unknown], found, engine=engine)['mAP'] == (
        FULL_MARKS
    )
    # one of the two best is right at every recall
    assert evaluate([with_cat, absent], found, engine=engine)['mAP'] == (
        pytest.approx(50)
    )
    # COCO's rule takes every class for annotated in every image
    assert evaluate(
        [with_cat, unknown], found, OpenVocabInsMetric, engine=engine
    )['mAP'] == pytest.approx(50)


@ENGINES
def test_unmatched_detections_of_a_class_annotated_in_part_are_ignored(
    evaluate, engine
):
    found = [
        [
            ('cat', 0.9, THERE),
            ('cat', 0.8, ELSEWHERE),
            ('cat', 0.7, np.zeros_like(HERE)),
            ('cat', 0.5, HERE),
        ]
    ]
    whole = evaluate([image([('cat', HERE)])], found, engine=engine)
    assert whole['mAP'] == pytest.approx(25)  # one of four
    in_part = image([('cat', HERE)], in_part=['cat'])
    assert evaluate([in_part], found, engine=engine)['mAP'] == FULL_MARKS
    # what is annotated is to be found all the same: 1 of 2, so recalls up
    # to a half, 51 of 101 points
    two = image([('cat', HERE), ('cat', square(30, 0))], in_part=['cat'])
    assert evaluate([two], found, engine=engine)['mAP'] == (
        pytest.approx(100 * 51 / 101)
    )


@ENGINES
def test_of_an_image_the_300_best_of_all_classes_count(evaluate, engine):
    images = [image([('cat', HERE), ('dog', HERE)])]
    hits = [('cat', 0.2, HERE), ('dog', 0.1, HERE)]
    for fillers, cat, dog in ((298, 100, 100), (299, 100, 0), (300, 0, 0)):
        # nobody looked for bees
        found = [[('bee', 0.9, THERE)] * fillers + hits]
        assert evaluate(images, found, engine=engine)['mAP'] == (
            pytest.approx((cat + dog) / 2)
        )


@ENGINES
def test_means_by_frequency(evaluate, engine):
    images = [
        image([('ant', HERE), ('cat', THERE), ('dog', HERE)], ['bee']),
    ]
    found = [[('ant', 0.5, HERE), ('dog', 0.5, square(0, 0, 9))]]
    metrics = evaluate(images, found, engine=engine)
    # dog: 81 of 100 pixels, right at 7 of 10 thresholds; no cat is found
    assert metrics == {
        'mAP_seen': pytest.approx(35),
        'mAP_unseen': FULL_MARKS,
        'mAP': pytest.approx(170 / 3),
        'AP50': pytest.approx(200 / 3),
        'AP75': pytest.approx(200 / 3),
        'APr': FULL_MARKS,
        'APc': pytest.approx(math.nan, nan_ok=True),
        'APf': pytest.approx(35),
    }


def test_only_images_that_were_tested_count(evaluate):
    images = [image([('cat', HERE)]), image([('cat', HERE)])]
    assert evaluate(images, [[('cat', 0.5, HERE)]])['mAP'] == FULL_MARKS
    assert evaluate(images, [[]])['mAP'] == NOTHING


# --- against hotcoco's LVIS evaluation ---------------------------------------


def random_scene(seed, num_images=15):
    """Everything at once; equal scores, empty masks, over 300 in an image."""
    rng = np.random.default_rng(seed)
    images, found = [], []
    for number in range(num_images):
        # each class: with objects, absent, or nobody knows
        states = dict(zip(NAMES, rng.integers(0, 3, len(NAMES)), strict=True))
        objects, detections = [], []
        for name, state in states.items():
            for _ in range(rng.integers(1, 4) if state == 0 else 0):
                top, left, side = rng.integers([0, 0, 4], [25, 25, 15])
                objects.append((name, square(top, left, side)))
                for _ in range(rng.integers(0, 3)):
                    moved = rng.integers(-2, 3, 3)
                    shaken = square(*np.maximum([top, left, side] + moved, 0))
                    detections.append(
                        (name, int(rng.integers(1, 20)) / 20, shaken)
                    )
            copies = 160 if number == 3 else rng.integers(0, 3)
            for _ in range(copies):
                mask = square(*rng.integers([0, 0, 0], [25, 25, 15]))
                detections.append((name, int(rng.integers(1, 20)) / 20, mask))
        in_part = [
            name
            for name, state in states.items()
            if state < 2 and rng.random() < 0.4
        ]
        absent = [name for name, state in states.items() if state == 1]
        images.append(image(objects, absent, in_part))
        found.append(detections)
    return images, found


@pytest.mark.parametrize('seed', range(6))
def test_equals_hotcoco_s_lvis_evaluation(evaluate, tmp_path, seed):
    hotcoco = pytest.importorskip('hotcoco')
    images, found = random_scene(seed)
    ours = evaluate(images, found)
    results = [
        {
            'image_id': number,
            'category_id': id_of(name),
            'score': float(np.float32(score)),
            'segmentation': encode(mask),
        }
        for number, detections in enumerate(found, 1)
        for name, score, mask in detections
    ]
    gt = hotcoco.LVIS(str(tmp_path / 'lvis.json'))
    official = hotcoco.LVISEval(
        gt, hotcoco.LVISResults(gt, results, max_dets=300), 'segm'
    )
    official.run()
    theirs = official.get_results()
    pairs = {'mAP': 'AP', **{k: k for k in ('AP50', 'AP75')}}
    pairs |= {f'AP{letter}': f'AP{letter}' for letter in 'rcf'}
    for key, other in pairs.items():
        assert ours[key] == pytest.approx(100 * theirs[other], abs=1e-9), key
    assert 0 < ours['mAP'] < 100
    # and the rule matters here
    coco = evaluate(images, found, OpenVocabInsMetric)
    assert abs(ours['mAP'] - coco['mAP']) > 1


@pytest.mark.parametrize('seed', range(3))
def test_engines_agree_to_the_last_bit(evaluate, seed):
    images, found = random_scene(seed)
    first, second = (
        evaluate(images, found, engine=engine)
        for engine in ('hotcoco', 'pycocotools')
    )
    assert first == second


# --- refusals ----------------------------------------------------------------


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('neg_category_ids', None, "lacks the key 'neg_category_ids'"),
        (
            'not_exhaustive_category_ids',
            [9, 2],
            r'image 1: not_exhaustive_category_ids has \[9\], which are no',
        ),
    ],
)
def test_lists_of_images_are_checked(tmp_path, key, value, message):
    entry = image()
    if value is None:
        del entry[key]
    else:
        entry[key] = value
    path = write(tmp_path / 'lvis.json', [entry])
    with pytest.raises(ValueError, match=f'lvis.json: .*{message}'):
        OpenVocabLvisMetric(ann_file=path)


def test_frequency_is_checked(tmp_path):
    path = tmp_path / 'lvis.json'
    write(path, [image()])
    path.write_text(path.read_text().replace('"c"', '"common"'))
    with pytest.raises(
        ValueError, match=r"lvis.json: category 'bee' has frequency 'common'"
    ):
        OpenVocabLvisMetric(ann_file=str(path))
