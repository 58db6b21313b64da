import pytest
import torch
from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead
from mmengine.config import ConfigDict
from torch.testing import assert_close

from freeseg_mm.models import FreeSegFusionHead
from freeseg_mm.models.heads import freeseg_fusion_head as head_module
from freeseg_mm.models.heads import mask_results as module
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.structures import Task, Vocabulary


def build():
    return FreeSegFusionHead()


def options(tasks, **changes):
    """Of a threshold on the best class, unless a test says otherwise."""
    usual = {'object_score_thr': 0.5, 'panoptic_rule': 'score'}
    return PredictOptions(tasks=tuple(tasks), **{**usual, **changes})


def run(task, probs, masks, is_thing, **changes):
    """One task's result of one image that needs no resizing."""
    size = tuple(masks.shape[-2:])
    meta = {'batch_input_shape': size, 'img_shape': size, 'ori_shape': size}
    names = [f'class {i}' for i in range(len(is_thing))]
    things = [name for name, x in zip(names, is_thing, strict=True) if x]
    (result,) = build().predict(
        probs[None, None],
        masks[None, None],
        [meta],
        Vocabulary.from_names(names, things=things),
        options([task], **changes),
    )
    return result[task]


def semantic(probs, masks):
    return run(Task.SEMANTIC, probs, masks, [True] * probs.shape[1])


def instances(probs, masks, is_thing, **changes):
    return run(Task.INSTANCE, probs, masks, is_thing, **changes)


def logits(*masks):
    """Logits of masks written as digits: 9 is probability 0.9, 0 is 0.05."""
    probability = [0.05, *(digit / 10 for digit in range(1, 10))]
    return torch.tensor(
        [
            [[probability[int(cell)] for cell in row] for row in mask.split()]
            for mask in masks
        ]
    ).logit()


def grid(text):
    return [[int(cell) for cell in row.split(',')] for row in text.split()]


@pytest.fixture
def enlarged(monkeypatch):
    """Numbers of masks that were enlarged at once."""
    numbers = []
    enlarge = head_module.full_resolution

    def watched(logits, *arguments):
        numbers.append(len(logits))
        return enlarge(logits, *arguments)

    monkeypatch.setattr(head_module, 'full_resolution', watched)
    return numbers


# ---- semantic ---------------------------------------------------------------


def test_semantic_by_hand():
    probs = torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.6, 0.3]])
    masks = logits('9999 9999 0000 0000', '0099 0099 0990 0990')

    result = semantic(probs, masks)

    # top left (0.9, 0.05): .81 + .005, .045 + .03, ...: class 0
    # top right (0.9, 0.9): .81 + .09, .045 + .54, ...: class 0
    # bottom middle (0.05, 0.9): .045 + .09 = .135, .0025 + .54: class 1
    # bottom corners (0.05, 0.05): .05, .0325, .0175: class 0
    expected = torch.tensor(
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
    )
    assert torch.equal(result.sem_seg, expected[None])
    assert result.data is result.sem_seg  # mmseg's name for it


def test_semantic_sums_the_masks_of_a_class():
    # two weak masks of class 1 outweigh one strong of class 0
    probs = torch.tensor([[0.7, 0.0], [0.0, 0.4], [0.0, 0.4]])
    masks = logits('99', '99', '90')

    result = semantic(probs, masks)

    assert result.sem_seg.tolist() == [[[1, 0]]]


@pytest.mark.parametrize(('num_classes', 'void'), [(3, 255), (300, 300)])
def test_semantic_is_void_where_no_mask_counts(num_classes, void):
    # the only mask is hardly an object, or shows nothing on the left
    probs = torch.zeros(1, num_classes)
    masks = logits('99', '09')[1:]
    assert semantic(probs, masks).sem_seg.tolist() == [[[void, void]]]
    probs[0, 2] = 0.9
    masks[0, 0, 0] = -1e4
    assert semantic(probs, masks).sem_seg.tolist() == [[[void, 2]]]


def test_semantic_in_chunks_changes_nothing(monkeypatch):
    probs, masks = torch.rand(5, 7), torch.randn(5, 6, 8)
    whole = semantic(probs, masks).sem_seg

    for budget in (1, 70):  # one pixel and ten pixels at once
        monkeypatch.setattr(module, 'PIXEL_BUDGET', budget)
        parts = semantic(probs, masks).sem_seg
        assert torch.equal(parts, whole)


@pytest.mark.parametrize('enlarged', [False, True])
@pytest.mark.parametrize(
    ('least', 'labels'),
    [
        (0.0, [0, 1, 0]),
        (0.54, [0, 1, 255]),
        (0.55, [0, 255, 255]),
        ({'class 1': 0.55}, [0, 255, 0]),
        ({'class 1': 0.1, '*': 0.05}, [0, 1, 255]),
        ({'class 0': 0.9, 'class 1': 0.54}, [255, 1, 255]),
    ],
)
def test_pixels_below_the_threshold_of_their_class_are_void(
    enlarged, least, labels
):
    # best of each pixel: 0.815 (class 0), 0.5425 (class 1), 0.0475 (class 0)
    probs = torch.tensor([[0.9, 0.05], [0.1, 0.6]])
    masks = logits('900', '090')
    size = (1, 3)
    meta = {'batch_input_shape': size, 'img_shape': size, 'ori_shape': size}
    if enlarged:  # the results, not the masks
        meta['ori_shape'] = (2, 6)
    (result,) = build().predict(
        probs[None, None],
        masks[None, None],
        [meta],
        Vocabulary.from_names(['class 0', 'class 1']),
        options([Task.SEMANTIC], pixel_score_thr=least, resized='results'),
    )
    found = result[Task.SEMANTIC].sem_seg[0, 0]
    assert found[:: 5 if enlarged else 1][[0, -1]].tolist() == labels[::2]
    if not enlarged:
        assert found.tolist() == labels


# ---- instance ---------------------------------------------------------------

THINGS = torch.tensor([True, False, True])
PROBS = torch.tensor([[0.5, 0.9, 0.1], [0.2, 0.1, 0.3]])
MASKS = logits('0000 0970 0000 0000', '0000 0000 0000 6666')


def test_instances_by_hand():
    result = instances(PROBS, MASKS, THINGS)

    # certainty 0.8 and 0.6 inside the masks; class 1 is stuff
    scores = [0.5 * 0.8, 0.3 * 0.6, 0.2 * 0.6, 0.1 * 0.8]
    assert_close(result.scores, torch.tensor(scores))
    assert result.labels.tolist() == [0, 2, 0, 2]
    first, last = [1, 1, 3, 2], [0, 3, 4, 4]
    assert result.bboxes.tolist() == [first, last, last, first]
    assert result.masks.dtype == torch.bool
    assert torch.equal(
        result.masks, torch.stack([MASKS[i] > 0 for i in (0, 1, 1, 0)])
    )


@pytest.mark.parametrize(
    ('changes', 'labels'),
    [
        ({'score_thr': {'class 0': 0.3}}, [0, 2, 2]),
        ({'score_thr': {'class 0': 0.5, '*': 0.1}}, [2]),
        # what is too weak takes no place
        ({'score_thr': {'class 0': 0.5}, 'max_per_image': 2}, [2, 2]),
        ({'pixel_score_thr': 0.9}, [0, 2, 0, 2]),
    ],
)
def test_instances_have_the_threshold_of_their_class(changes, labels):
    # scores are 0.4 (class 0), 0.18 (2), 0.12 (0), 0.08 (2)
    result = instances(PROBS, MASKS, THINGS, **changes)

    assert result.labels.tolist() == labels


def test_best_instances_are_kept():
    result = instances(PROBS, MASKS, THINGS, max_per_image=2)

    assert result.labels.tolist() == [0, 2]


def test_empty_masks_and_no_things_are_no_instances():
    empty = logits('0000', '0040')

    result = instances(PROBS, empty, THINGS)
    assert len(result) == 0
    assert result.masks.shape == (0, 1, 4)
    assert result.bboxes.shape == (0, 4)

    result = instances(PROBS, MASKS, torch.zeros(3).bool())
    assert len(result) == 0


# ---- panoptic ---------------------------------------------------------------


def panoptic(probs, masks, is_thing=THINGS, **changes):
    result = run(
        Task.PANOPTIC, torch.tensor(probs), masks, is_thing, **changes
    )
    return result.sem_seg, result.segments_info


def test_panoptic_by_hand():
    probs = [
        [0.1, 0.0, 0.6],  # thing 2, lower half
        [0.9, 0.0, 0.0],  # thing 0, top left
        [0.0, 0.4, 0.3],  # below the threshold
        [0.8, 0.1, 0.0],  # thing 0, top middle
    ]
    masks = logits(
        '0000 0000 9999 9999',
        '9900 9900 0000 0000',
        '0009 0009 0000 0000',
        '0090 0090 0000 0000',
    )

    sem_seg, segments = panoptic(probs, masks)

    expected = grid(
        '1000,1000,2000,3 1000,1000,2000,3 '
        '3002,3002,3002,3002 3002,3002,3002,3002'
    )
    assert sem_seg.tolist() == [expected]
    assert [(s['id'], s['label']) for s in segments] == [
        (1000, 0),
        (2000, 0),
        (3002, 2),
    ]
    assert [s['score'] for s in segments] == pytest.approx([0.9, 0.8, 0.6])


@pytest.mark.parametrize(
    ('overlap_thr', 'kept'), [(0.4, True), (0.5, True), (0.51, False)]
)
def test_segment_that_loses_too_much_is_dropped(overlap_thr, kept):
    masks = logits('9990', '0099')  # the second keeps half of its mask

    sem_seg, segments = panoptic(
        [[0.9, 0, 0], [0, 0, 0.8]],
        masks.view(2, 1, 4),
        overlap_thr=overlap_thr,
    )

    last = 2002 if kept else 3
    assert sem_seg.tolist() == [[[1000, 1000, 1000, last]]]
    assert len(segments) == 1 + kept


def test_pixel_goes_to_the_highest_score_times_probability():
    # 0.9 * 0.6 < 0.7 * 0.9 although the first is the better object
    sem_seg, _ = panoptic(
        [[0.9, 0, 0], [0, 0, 0.7]],
        logits('9960', '0099').view(2, 1, 4),
        overlap_thr=0.5,
    )

    assert sem_seg.tolist() == [[[1000, 1000, 2002, 2002]]]


def test_winning_outside_of_its_mask_gives_no_pixel():
    # 0.9 * 0.4 is the highest of the third pixel, but it is below 0.5
    sem_seg, _ = panoptic([[0.9, 0, 0]], logits('9940').view(1, 1, 4))

    assert sem_seg.tolist() == [[[1000, 1000, 3, 3]]]


def test_stuff_of_one_class_is_one_segment_and_things_are_not():
    masks = logits('9000', '0900', '0090', '0009').view(4, 1, 4)

    sem_seg, segments = panoptic(
        [[0, 0.7, 0], [0.6, 0, 0], [0, 0.9, 0], [0.8, 0, 0]], masks
    )

    # by score: stuff, thing, the same stuff again, thing
    assert sem_seg.tolist() == [[[1001, 3000, 1001, 2000]]]
    assert [s['id'] for s in segments] == [1001, 2000, 3000]
    assert segments[0]['score'] == pytest.approx(0.9)


def test_no_confident_query_leaves_everything_void():
    sem_seg, segments = panoptic([[0.5, 0.2, 0.1]], logits('9999')[:, None, 0])

    assert sem_seg.unique().tolist() == [3]
    assert segments == []


@pytest.mark.parametrize(
    ('least', 'labels'),
    [
        (0.0, [0, 1, 2]),
        ({'class 0': 0.85}, [0, 1, 2]),
        ({'class 0': 0.9, 'class 1': 0.65}, [1, 2]),
        ({'class 1': 0.75, '*': 0.65}, [0]),
    ],
)
def test_segments_have_the_threshold_of_their_class(least, labels):
    _, segments = panoptic(
        [[0.9, 0, 0], [0, 0.7, 0], [0, 0, 0.6]],
        logits('900', '090', '009').view(3, 1, 3),
        object_score_thr=least,
    )

    assert [s['label'] for s in segments] == labels


@pytest.mark.parametrize(
    ('least', 'pixels'),
    [
        (0.0, [1000, 1000, 1000, 3001]),
        (0.6, [1000, 1000, 3, 3001]),
        ({'class 1': 0.75}, [1000, 1000, 1000, 3]),
        ({'class 0': 0.82}, [3, 3, 3, 3001]),
    ],
)
def test_panoptic_pixels_below_the_threshold_are_void(least, pixels):
    # pixels score 0.81, 0.81, 0.54 (class 0) and 0.72 (class 1, stuff)
    sem_seg, segments = panoptic(
        [[0.9, 0, 0], [0, 0.8, 0]],
        logits('9960', '0009').view(2, 1, 4),
        pixel_score_thr=least,
    )

    number = {1000: 0, 3001: 1, 3: None}
    found = [int(x) % 1000 if x != 3 else None for x in sem_seg[0, 0]]
    assert found == [number[x] for x in pixels]
    # what the threshold took is not lost to another mask
    assert sorted(s['label'] for s in segments) == sorted(
        {x for x in found if x is not None}
    )


def test_stuff_keeps_the_part_that_reaches_the_threshold():
    sem_seg, segments = panoptic(
        [[0, 0.9, 0], [0, 0.8, 0]],
        logits('60', '09').view(2, 1, 2),
        pixel_score_thr=0.6,
    )

    assert sem_seg.tolist() == [[[3, segments[0]['id']]]]
    assert [s['score'] for s in segments] == pytest.approx([0.8])


def test_ids_stay_apart_with_more_classes_than_mmdets_offset():
    probs = torch.zeros(2, 1500)
    probs[0, 1200] = probs[1, 200] = 0.9

    result = run(
        Task.PANOPTIC,
        probs,
        logits('9900', '0090').view(2, 1, 4),
        torch.ones(1500, dtype=torch.bool),
    )

    # with mmdet's 1000 the first would be 2200 and the second 2200, too
    assert sorted(s['id'] % 1501 for s in result.segments_info) == [200, 1200]
    assert len(result.sem_seg.unique()) == 3
    assert result.sem_seg[0, 0, 3] == 1500


# ---- predict ----------------------------------------------------------------


@pytest.fixture
def vocabulary():
    return Vocabulary.from_names(
        ['cat', 'grass', 'dog'], things=['cat', 'dog']
    )


def metas(img_shape, ori_shape):
    return {
        'batch_input_shape': (16, 16),
        'img_shape': img_shape,
        'ori_shape': ori_shape,
    }


def test_each_task_has_its_own_probabilities_and_shares_masks(vocabulary):
    probs = torch.zeros(1, 2, 1, 3)
    probs[0, 0, 0, 1] = probs[0, 1, 0, 2] = 0.9

    (result,) = build().predict(
        probs,
        torch.full((1, 1, 1, 4, 4), 5.0),
        [metas((16, 16), (16, 16))],
        vocabulary,
        options([Task.SEMANTIC, Task.PANOPTIC]),
    )

    assert list(result) == [Task.SEMANTIC, Task.PANOPTIC]
    assert result[Task.SEMANTIC].sem_seg.unique().tolist() == [1]
    assert [s['label'] for s in result[Task.PANOPTIC].segments_info] == [2]


def test_each_task_may_have_its_own_masks(vocabulary):
    mask_logits = torch.full((1, 2, 1, 4, 4), -5.0)
    mask_logits[0, 0, 0, :, :2] = mask_logits[0, 1, 0, :, 2:] = 5.0
    probs = torch.tensor([0.9, 0.0, 0.0]).expand(1, 2, 1, 3)

    (result,) = build().predict(
        probs,
        mask_logits,
        [metas((16, 16), (16, 16))],
        vocabulary,
        options([Task.INSTANCE, Task.PANOPTIC]),
    )

    assert result[Task.INSTANCE].bboxes.tolist() == [[0, 0, 8, 16]]
    panoptic_map = result[Task.PANOPTIC].sem_seg[0, 8]
    assert panoptic_map.tolist() == [3] * 8 + [1000] * 8


@pytest.mark.parametrize('task', list(Task))
def test_padding_is_cut_before_the_result_is_resized(vocabulary, task):
    # image: upper left 8 x 12 of 16 x 16, its left third is a cat, the rest
    # grass; the padding is full of cat
    cat = torch.full((16, 16), 5.0)
    cat[:8, 4:12] = -5.0
    mask_logits = torch.stack([cat, -cat])[None, None]
    probs = torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.9, 0.0]])[None, None]

    def predict(rescale):
        (result,) = build().predict(
            probs,
            mask_logits,
            [metas((8, 12), (16, 24))],
            vocabulary,
            options([task]),
            rescale=rescale,
        )
        result = result[task]
        if task is Task.INSTANCE:
            assert result.bboxes.tolist() == [
                [0, 0, 8, 16] if rescale else [0, 0, 4, 8]
            ]
            return result.masks[0]
        return result.sem_seg[0]

    full, small = predict(True), predict(False)

    assert full.shape == (16, 24)
    assert small.shape == (8, 12)
    for result, edge in ((full, 8), (small, 4)):
        left, right = result[:, :edge].unique(), result[:, edge:].unique()
        assert len(left) == len(right) == 1
        assert left != right


def test_images_of_a_batch_keep_their_own_sizes(vocabulary):
    results = build().predict(
        torch.rand(2, 3, 4, 3),
        torch.randn(2, 3, 4, 4, 4),
        [metas((16, 12), (33, 25)), metas((10, 16), (10, 16))],
        vocabulary,
        options(Task),
    )

    shapes = [
        (
            result[Task.SEMANTIC].sem_seg.shape,
            result[Task.INSTANCE].masks.shape[1:],
            result[Task.PANOPTIC].sem_seg.shape,
        )
        for result in results
    ]
    assert shapes == [
        ((1, 33, 25), (33, 25), (1, 33, 25)),
        ((1, 10, 16), (10, 16), (1, 10, 16)),
    ]


def test_masks_grow_bilinearly_before_the_threshold(vocabulary):
    # one row of cells at -6, +2, +2, +2, each four pixels wide: the zero is
    # 6/8 of the way between the first two centres (pixels 1.5 and 5.5)
    mask_logits = torch.full((1, 1, 1, 4, 4), 2.0)
    mask_logits[..., 0] = -6.0

    (result,) = build().predict(
        torch.tensor([0.9, 0.0, 0.0]).view(1, 1, 1, 3),
        mask_logits,
        [metas((16, 16), (16, 16))],
        vocabulary,
        options([Task.INSTANCE]),
    )

    # 1.5 + 0.75 * 4 = 4.5: pixel 5 is the first inside
    assert result[Task.INSTANCE].bboxes.tolist() == [[5, 0, 16, 16]]


# ---- negatives ----


def beside_negatives(task, probs, masks, is_thing, number, **changes):
    """The result of the first classes; the others are negatives."""
    names = [f'class {i}' for i in range(len(is_thing))]
    return run(
        task, probs, masks, is_thing, negatives=names[number:], **changes
    )


@pytest.mark.parametrize('number', [1, 300])
def test_pixels_of_negatives_are_void(number):
    # class 0 is 0.815 and 0.5; the negative 0.0775 and 0.5425
    probs = torch.zeros(2, number + 1)
    probs[:, 0], probs[:, -1] = torch.tensor([[0.9, 0.5], [0.05, 0.6]])
    result = beside_negatives(
        Task.SEMANTIC, probs, logits('90', '09'), [True] * (number + 1), number
    )
    void = 255 if number == 1 else 300
    assert result.sem_seg.tolist() == [[[0, void]]]


def test_mask_of_a_negative_is_no_instance_of_the_runner_up():
    # the second query is 0.3 of class 2 and 0.4 of the negative
    probs = torch.tensor([[0.5, 0.3, 0.1, 0.2], [0.2, 0.1, 0.3, 0.4]])
    is_thing = torch.tensor([True, False, True, False])
    for ranking in ('things', 'all_classes'):
        result = beside_negatives(
            Task.INSTANCE, probs, MASKS, is_thing, 3, instance_ranking=ranking
        )
        assert result.labels.tolist() == [0, 2]
        assert_close(result.scores, torch.tensor([0.5 * 0.8, 0.1 * 0.8]))


def test_segments_of_negatives_keep_what_they_win():
    # the negative's mask takes the third pixel from class 0, then is dropped
    probs = torch.tensor([[0.0, 0.0, 0.9], [0.7, 0.0, 0.0], [0.0, 0.6, 0.0]])
    masks = logits('0099000', '9990000', '0000999').view(3, 1, 7)
    is_thing = torch.tensor([True, False, False])
    result = beside_negatives(
        Task.PANOPTIC, probs, masks, is_thing, 2, overlap_thr=0.5
    )
    assert [s['label'] for s in result.segments_info] == [0, 1]
    thing, stuff = (s['id'] for s in result.segments_info)
    row = [thing, thing, 2, 2, stuff, stuff, stuff]
    assert result.sem_seg.tolist() == [[row]]


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('rule', ['score', 'released'])
def test_negatives_compete_as_classes_do(seed, rule):
    torch.manual_seed(seed)
    probs = torch.rand(8, 6).softmax(-1)
    masks = torch.randn(8, 6, 6)
    is_thing = torch.tensor([True, False, True, False, False, False])
    changes = {
        'object_score_thr': 0.0,
        'overlap_thr': 0.1,
        'panoptic_rule': rule,
    }

    def regions(result, number):
        return {
            (s['label'], (result.sem_seg == s['id']).nonzero().sum().item())
            for s in result.segments_info
            if s['label'] < number
        }

    whole = run(Task.PANOPTIC, probs, masks, is_thing, **changes)
    part = beside_negatives(
        Task.PANOPTIC, probs, masks, is_thing, 3, **changes
    )
    assert regions(part, 6) == regions(whole, 3)
    ids = {s['id'] for s in part.segments_info}
    assert set(part.sem_seg.unique().tolist()) <= ids | {3}


# ---- what is worth computing ------------------------------------------------


def test_what_matters_by_hand():
    object_probs = torch.tensor([0.02, 0.3, 0.5, 0.51]).expand(1, 3, 4)
    tasks = [Task.PANOPTIC, Task.SEMANTIC, Task.INSTANCE]

    floored = build().is_relevant(
        object_probs, options(tasks, min_object_prob=0.1)
    )
    default = build().is_relevant(object_probs, options(tasks))

    assert floored.int().tolist() == [
        [[0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 1]]
    ]
    assert default.int().tolist() == [
        [[0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    ]


@pytest.mark.parametrize('seed', range(3))
def test_what_does_not_matter_changes_no_result(vocabulary, seed):
    torch.manual_seed(seed)
    object_probs = torch.rand(1, 3, 9)
    probs = torch.rand(1, 3, 9, 3).softmax(-1) * object_probs[..., None]
    masks = torch.randn(1, 3, 9, 6, 6)
    head = build()
    chosen = options(Task, object_score_thr=0.3, overlap_thr=0.1)
    meta = metas((16, 16), (16, 16))
    is_relevant = head.is_relevant(object_probs, chosen)
    assert 0 < (~is_relevant).sum() < is_relevant.numel()

    everything, some = [
        head.predict(x, masks, [meta], vocabulary, chosen)[0]
        for x in (probs, probs * is_relevant[..., None])
    ]

    assert torch.equal(
        everything[Task.PANOPTIC].sem_seg, some[Task.PANOPTIC].sem_seg
    )
    assert len(everything[Task.PANOPTIC].segments_info) > 0
    for task in (Task.SEMANTIC, Task.INSTANCE):
        assert is_relevant[0, list(Task).index(task)].all()


def test_only_masks_that_count_are_enlarged(vocabulary, enlarged):
    probs = torch.zeros(1, 3, 5, 3)
    probs[0, 0, 1:, 1] = 0.2  # semantic: four of five
    probs[0, 1, :3, 1] = 0.9  # instance: grass is no thing
    probs[0, 1, 4, 0] = 0.1
    probs[0, 2, :, 2] = torch.tensor([0.9, 0.5, 0.7, 0.2, 0.6])  # over 0.5
    build().predict(
        probs,
        torch.randn(1, 3, 5, 4, 4),
        [metas((16, 16), (16, 16))],
        vocabulary,
        options(Task),
    )

    assert enlarged == [4, 1, 3]


def test_nothing_at_all(vocabulary):
    (result,) = build().predict(
        torch.zeros(1, 3, 4, 3),
        torch.randn(1, 3, 4, 4, 4),
        [metas((16, 12), (31, 23))],
        vocabulary,
        options(Task),
    )

    assert result[Task.SEMANTIC].sem_seg.shape == (1, 31, 23)
    assert result[Task.INSTANCE].masks.shape == (0, 31, 23)
    assert result[Task.PANOPTIC].sem_seg.unique().tolist() == [3]
    assert result[Task.PANOPTIC].segments_info == []


# ---- parity with mmdet ------------------------------------------------------

NUM_THINGS, NUM_STUFF = 4, 3


def random_scene():
    """Hard masks of random rectangles over one background, random classes.

    Saturated masks that cover the image: there both agree about which
    pixels a query wins, which otherwise differs (mmdet counts pixels a query
    wins outside of its own mask).
    """
    queries, classes = 12, NUM_THINGS + NUM_STUFF
    mask_logits = torch.full((queries, 24, 30), -12.0)
    mask_logits[0] = 12.0
    for mask in mask_logits[1:]:
        top, left = torch.randint(0, 18, (2,)).tolist()
        height, width = torch.randint(3, 12, (2,)).tolist()
        mask[top : top + height, left : left + width] = 12.0
    class_logits = 5 * torch.randn(queries, classes + 1)
    # a little over the threshold, so that all others stand before it
    class_logits[0] = 0.0
    class_logits[0, NUM_THINGS] = 2.3
    return class_logits, mask_logits


@pytest.mark.parametrize('seed', range(6))
def test_panoptic_equals_mmdet(seed):
    torch.manual_seed(seed)
    class_logits, mask_logits = random_scene()
    theirs = MaskFormerFusionHead(
        num_things_classes=NUM_THINGS,
        num_stuff_classes=NUM_STUFF,
        test_cfg=ConfigDict(
            object_mask_thr=0.5, iou_thr=0.6, filter_low_score=True
        ),
    ).panoptic_postprocess(class_logits, mask_logits)
    ours = run(
        Task.PANOPTIC,
        class_logits.softmax(-1)[:, :-1],
        mask_logits,
        torch.arange(NUM_THINGS + NUM_STUFF) < NUM_THINGS,
        overlap_thr=0.6,
    )

    # Same partition, same classes; only the numbering differs.
    pairs = torch.stack([theirs.sem_seg.long(), ours.sem_seg]).flatten(1)
    pairs = pairs.unique(dim=1)
    assert len(pairs[0].unique()) == len(pairs[1].unique()) == pairs.shape[1]
    assert pairs.shape[1] > 3
    assert torch.equal(pairs[0] % 1000, pairs[1] % 1000)


@pytest.mark.parametrize('seed', range(3))
def test_instances_equal_mmdet(seed):
    torch.manual_seed(seed)
    class_logits = torch.randn(6, NUM_THINGS + NUM_STUFF + 1)
    mask_logits = torch.randn(6, 24, 30)
    theirs = MaskFormerFusionHead(
        num_things_classes=NUM_THINGS,
        num_stuff_classes=NUM_STUFF,
        # all pairs: mmdet cuts before it leaves the stuff out
        test_cfg=ConfigDict(max_per_image=42),
    ).instance_postprocess(class_logits, mask_logits)
    ours = instances(
        class_logits.softmax(-1)[:, :-1],
        mask_logits,
        torch.arange(NUM_THINGS + NUM_STUFF) < NUM_THINGS,
    )

    order = theirs.scores.argsort(descending=True)
    assert len(ours) == 6 * NUM_THINGS
    assert_close(ours.scores, theirs.scores[order])
    assert torch.equal(ours.labels, theirs.labels[order])
    assert torch.equal(ours.masks, theirs.masks[order])
    assert_close(ours.bboxes, theirs.bboxes[order])


def test_low_scores_are_left_out_by_hand():
    """Scores are class probability times mask certainty, 0.9 and 0.6."""
    masks = logits('9 0', '0 9')
    probs = torch.tensor([[1.0], [2 / 3]])
    is_thing = torch.tensor([True])
    kept = [
        instances(probs, masks, is_thing, score_thr=least).scores.tolist()
        for least in (0.0, 0.61, 0.91)
    ]
    assert kept[0] == pytest.approx([0.9, 0.6])
    assert kept[1] == pytest.approx([0.9])
    assert kept[2] == []


# ---- Mask2Former's own rules ----


@pytest.mark.parametrize(
    ('probs', 'kept'),
    [
        ([0.45, 0.15, 0.0], True),  # no object 0.4
        ([0.3, 0.25, 0.0], False),  # no object 0.45
        ([0.34, 0.33, 0.0], True),  # no object 0.33
    ],
)
def test_panoptic_mask_must_beat_no_object(probs, kept):
    _, segments = panoptic(
        [probs],
        logits('9999')[:, None, 0],
        panoptic_rule='no_object',
        object_score_thr=0.0,
    )
    assert len(segments) == kept


def test_threshold_holds_beside_no_object():
    _, segments = panoptic(
        [[0.45, 0.15, 0.0]],
        logits('9999')[:, None, 0],
        panoptic_rule='no_object',
        object_score_thr=0.5,
    )
    assert segments == []


@pytest.mark.parametrize(('pixels', 'last'), [('inside', 3), ('won', 2002)])
def test_pixels_won_outside_count_if_asked(pixels, last):
    # of its four pixels the second mask keeps one, and wins two others
    sem_seg, _ = panoptic(
        [[0.9, 0, 0], [0, 0, 0.8]],
        logits('009990', '449999').view(2, 1, 6),
        overlap_pixels=pixels,
        overlap_thr=0.5,
    )
    assert sem_seg.tolist() == [[[3, 3, 1000, 1000, 1000, last]]]


@pytest.mark.parametrize(
    ('most', 'labels'), [(1, []), (2, [0]), (3, [0, 2]), (6, [0, 2, 0, 2])]
)
def test_stuff_takes_places_among_all_classes(most, labels):
    # by class probability 0.9 (stuff), 0.5, 0.3, 0.2, 0.1 (stuff), 0.1
    result = instances(
        PROBS,
        MASKS,
        THINGS,
        instance_ranking='all_classes',
        max_per_image=most,
    )
    assert result.labels.tolist() == labels
    scores = [0.5 * 0.8, 0.3 * 0.6, 0.2 * 0.6, 0.1 * 0.8]
    assert_close(result.scores, torch.tensor(scores[: len(labels)]))


def test_masks_without_a_pair_among_the_best_are_not_enlarged(enlarged):
    probs = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.3, 0.4], [0.1, 0.2]])
    masks = torch.randn(4, 6, 6)
    changes = {'max_per_image': 3, 'instance_ranking': 'all_classes'}

    # by class probability 0.9, 0.8 (stuff), 0.4 (stuff), and behind them 0.3
    result = instances(probs, masks, [True, False], **changes)

    assert enlarged == [1]
    assert result.labels.tolist() == [0]


def test_the_least_threshold_of_a_class_decides_what_is_relevant():
    probs = torch.tensor([[[0.2, 0.4, 0.6]]])
    chosen = options(
        [Task.PANOPTIC], object_score_thr={'class 0': 0.3, '*': 0.5}
    )
    assert build().is_relevant(probs, chosen).tolist() == [
        [[False, True, True]]
    ]


@pytest.mark.parametrize('task', list(Task))
def test_released_rules_know_the_thresholds(task):
    # sharpened, e^3 / (e^3 + 3) = 0.87
    probs = 0.03 * torch.eye(4)[[0, 2]]
    masks = logits('9990', '0009').view(2, 1, 4)
    things = torch.tensor([True, False, True, False])
    rules = {
        'instance_ranking': 'released',
        'panoptic_rule': 'released',
        'object_score_thr': 0.0,
        'overlap_thr': 0.5,
    }

    def labels(**changes):
        result = run(task, probs, masks, things, **(rules | changes))
        if task is Task.INSTANCE:
            return sorted(result.labels.tolist())
        if task is Task.PANOPTIC:
            return sorted(s['label'] for s in result.segments_info)
        return sorted(set(result.sem_seg.flatten().tolist()) - {255})

    assert labels() == [0, 2]
    assert labels(pixel_score_thr={'class 2': 0.9}) == [0]
    if task is Task.INSTANCE:  # 0.87 * 0.9
        assert labels(score_thr={'class 0': 0.8}) == [2]
    if task is not Task.SEMANTIC:
        assert labels(object_score_thr={'class 0': 0.9}) == [2]


def test_what_clip_may_add_keeps_a_mask():
    probs = torch.tensor([[[0.2, 0.4, 0.6]] * 2])
    chosen = options(
        [Task.SEMANTIC, Task.PANOPTIC],
        min_object_prob=0.3,
        object_score_thr=0.0,
        panoptic_rule='no_object',
    )

    relevant = build().is_relevant(probs, chosen)
    trusting = build().is_relevant(probs, chosen.override(clip_trust=0.25))

    assert relevant.tolist() == [[[False, True, True], [False, False, True]]]
    # 0.2 may become 0.4, 0.4 become 0.55
    assert trusting.tolist() == [[[True, True, True], [False, True, True]]]


@pytest.mark.parametrize('change', [{}, {'panoptic_rule': 'released'}])
def test_masks_that_tasks_share_are_enlarged_once(enlarged, change):
    generator = torch.Generator().manual_seed(0)
    probs = torch.rand(2, 3, 6, 5, generator=generator).softmax(-1)
    probs[:, :, 4:] = 0  # no part in anything
    masks = 5 * torch.randn(2, 1, 6, 4, 4, generator=generator)
    vocabulary = Vocabulary.from_names(list('abcde'), things=list('abc'))
    meta = {
        'batch_input_shape': (16, 16),
        'img_shape': (16, 12),
        'ori_shape': (20, 15),
    }

    def predict(masks):
        enlarged.clear()
        return build().predict(
            probs,
            masks,
            [meta] * 2,
            vocabulary,
            options(Task, object_score_thr=0.0, **change),
        ), sum(enlarged)

    once, few = predict(masks)
    thrice, many = predict(masks.expand(-1, 3, -1, -1, -1).clone())
    assert few == 2 * 4
    assert many == 3 * few
    for one, other in zip(once, thrice, strict=True):
        assert len(one[Task.INSTANCE]) > 0
        assert_close(one[Task.SEMANTIC].sem_seg, other[Task.SEMANTIC].sem_seg)
        assert_close(one[Task.INSTANCE].masks, other[Task.INSTANCE].masks)
        assert_close(one[Task.INSTANCE].scores, other[Task.INSTANCE].scores)
        assert_close(one[Task.PANOPTIC].sem_seg, other[Task.PANOPTIC].sem_seg)
        assert (
            one[Task.PANOPTIC].segments_info
            == other[Task.PANOPTIC].segments_info
        )
