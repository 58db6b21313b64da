"""What trains the head, and that nothing unlabelled does (Eq. 1, 3)."""

import math

import pytest
import torch
from mmengine.structures import InstanceData
from torch.testing import assert_close

from freeseg_mm.models.heads import freeseg_head as module
from freeseg_mm.structures import (
    BACKGROUND_SEGMENT_ID,
    FIRST_SEGMENT_ID,
    Task,
    TaskTargets,
    Vocabulary,
    task_targets,
)
from freeseg_mm.utils.errors import DivergedError


def match(head, class_logits, mask_logits, targets):
    """The match of one image."""
    (found,) = head._match(
        class_logits[None], mask_logits[None], [targets], targets.valid[None]
    )
    return found


def mask_losses(head, logits, masks, valid):
    """Losses of masks that lie in an image each."""
    return head._mask_losses(logits, masks, valid, [1] * len(logits))


def centres(*pixels, size=4):
    """Points at the centres of (row, column) pixels, (1, K, 2) as (x, y)."""
    return torch.tensor(
        [[(c + 0.5) / size, (r + 0.5) / size] for r, c in pixels]
    )[None]


@pytest.fixture
def sample_at(monkeypatch):
    """Let the losses look at given points only."""

    def fix(head, points):
        head.num_points = points.shape[1]
        monkeypatch.setattr(
            module,
            'get_uncertain_point_coords_with_randomness',
            lambda logits, *_: points.expand(len(logits), -1, -1),
        )

    return fix


@pytest.fixture
def match_at(monkeypatch):
    """Let the matcher look at given points only."""

    def fix(head, points):
        head.num_points = points.shape[1]
        monkeypatch.setattr(torch, 'rand', lambda *_, device=None: points)

    return fix


def targets(labels, masks, valid=None):
    masks = torch.as_tensor(masks, dtype=torch.bool)
    if valid is None:
        valid = torch.ones(masks.shape[1:], dtype=torch.bool)
    return TaskTargets(torch.tensor(labels, dtype=torch.long), masks, valid)


def halves(size=16):
    """The left and the right half of an image as two masks."""
    left = torch.zeros(size, size, dtype=torch.bool)
    left[:, : size // 2] = True
    return torch.stack([left, ~left])


# ---- values by hand ---------------------------------------------------------


def test_mask_losses_by_hand(build_head, sample_at):
    head = build_head()
    sample_at(head, centres((0, 0), (1, 2)))
    logits = torch.zeros(1, 4, 4)
    logits[0, 1, 2] = math.log(3)  # p = 0.75
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, 0, 0] = True
    valid = torch.ones(1, 4, 4, dtype=torch.bool)

    loss_mask, loss_dice = mask_losses(head, logits, masks, valid)

    # focal: alpha (1 - p)^2 CE inside, (1 - alpha) p^2 CE outside, mean, x 20
    inside = 0.25 * 0.5**2 * math.log(2)
    outside = 0.75 * 0.75**2 * math.log(4)
    assert loss_mask.item() == pytest.approx(20 * (inside + outside) / 2)
    # dice: 1 - (2 * 0.5 + 1) / (0.5 + 0.75 + 1 + 1), x 5
    assert loss_dice.item() == pytest.approx(5 * (1 - 2 / 3.25))


def test_mask_losses_are_means_over_masks(build_head, sample_at):
    head = build_head()
    sample_at(head, centres((0, 0), (1, 2)))
    logits = torch.randn(2, 4, 4)
    masks = torch.rand(2, 4, 4) > 0.5
    valid = torch.ones(2, 4, 4, dtype=torch.bool)

    together = mask_losses(head, logits, masks, valid)

    alone = [
        mask_losses(head, logits[i, None], masks[i, None], valid[i, None])
        for i in range(2)
    ]
    for k in range(2):
        assert_close(together[k], (alone[0][k] + alone[1][k]) / 2)


def test_unlabelled_point_adds_nothing_by_hand(build_head, sample_at):
    head = build_head()
    logits = torch.zeros(1, 4, 4)
    logits[0, 1, 2] = math.log(3)
    logits[0, 3, 3] = 50.0  # surely wrong, if it counted
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, 0, 0] = True
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    valid[0, 3, 3] = False
    sample_at(head, centres((0, 0), (1, 2)))
    without = mask_losses(head, logits, masks, valid)
    sample_at(head, centres((0, 0), (1, 2), (3, 3)))

    loss_mask, loss_dice = mask_losses(head, logits, masks, valid)

    # the mean is over sampled points, of which there are now three
    assert_close(loss_mask, without[0] * 2 / 3)
    assert_close(loss_dice, without[1])


def test_point_between_labelled_and_unlabelled_pixels_does_not_count(
    build_head, sample_at
):
    head = build_head()
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    valid[0, :, 2:] = False
    logits = torch.randn(1, 4, 4)
    masks = torch.ones(1, 4, 4, dtype=torch.bool)
    sample_at(head, centres((0, 0)))
    without = mask_losses(head, logits, masks, valid)
    # the second lies half way from column 1 to the ignored column 2
    sample_at(head, torch.tensor([[[0.125, 0.125], [0.5, 0.375]]]))

    loss_mask, loss_dice = mask_losses(head, logits, masks, valid)

    assert_close(loss_mask, without[0] / 2)
    assert_close(loss_dice, without[1])


def test_masks_without_a_labelled_point_get_points_on_labelled_pixels(
    build_head, sample_at
):
    # One labelled pixel, next to which the only drawn point lies.
    head = build_head()
    valid = torch.zeros(2, 4, 4, dtype=torch.bool)
    valid[:, 1, 2] = True
    logits = torch.zeros(2, 4, 4)
    logits[0, 1, 2] = math.log(3)
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[0, 1, 2] = True
    sample_at(head, centres((0, 0)))

    loss_mask, loss_dice = mask_losses(head, logits, masks, valid)

    # p = 0.75 inside and 0.5 outside; see test_mask_losses_by_hand
    inside = 0.25 * 0.25**2 * math.log(4 / 3)
    outside = 0.75 * 0.5**2 * math.log(2)
    assert loss_mask.item() == pytest.approx(20 * (inside + outside) / 2)
    dice = (1 - 2.5 / 2.75) + (1 - 1 / 1.5)
    assert loss_dice.item() == pytest.approx(5 * dice / 2)


def test_classification_by_hand(build_head, match_at, sample_at):
    # 2 classes, 3 queries: the first fits the mask, the second nothing, the
    # third lies on unlabelled pixels
    head = build_head()
    points = centres((0, 0), (1, 1), (3, 0), (3, 3))
    match_at(head, points)
    sample_at(head, points)
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, :2, :2] = True
    valid = torch.ones(4, 4, dtype=torch.bool)
    valid[3] = False
    mask_logits = torch.full((1, 3, 4, 4), -9.0)
    mask_logits[0, 0, :2, :2] = 9.0
    mask_logits[0, 1, 1, 3] = 9.0
    mask_logits[0, 2, 3] = 9.0
    probabilities = torch.tensor(
        [[[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]]]
    )

    loss_cls, _, _ = head._loss_by_feat_single(
        probabilities.log(), mask_logits, [targets([1], mask, valid)], [{}]
    )

    expected = (math.log(2) + 0.1 * -math.log(0.8)) / 1.1
    assert loss_cls.item() == pytest.approx(expected, rel=1e-5)


def test_losses_of_every_layer_have_mmdets_names(
    build_head, feats, texts, vocabulary
):
    head = build_head()

    losses = head.loss(
        feats, texts[:1], vocabulary, [targets([0, 1], halves(64))] * 2
    )

    names = ['loss_cls', 'loss_mask', 'loss_dice']
    assert list(losses) == names + [
        f'd{layer}.{name}' for layer in (0, 1) for name in names
    ]
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())


# ---- parity with mmdet ------------------------------------------------------


@pytest.mark.parametrize('seed', range(3))
def test_losses_equal_mmdets_when_everything_is_labelled(
    seed, build_head, build_stock_head, monkeypatch
):
    ours = build_head(train_cfg={'ignore_query_overlap': None})
    theirs = build_stock_head()
    rand = torch.rand
    # Off the border, where bilinear values mix with zeros from outside: mmdet
    # takes such points as they are, we leave them out.
    monkeypatch.setattr(
        torch, 'rand', lambda *size, **_: 0.05 + 0.9 * rand(*size)
    )
    torch.manual_seed(seed)
    class_logits, mask_logits = torch.randn(2, 6, 5), torch.randn(2, 6, 16, 16)
    masks = [torch.rand(2, 16, 16) > 0.6, torch.rand(3, 16, 16) > 0.4]
    labels = [torch.tensor([3, 1]), torch.tensor([0, 2, 2])]

    torch.manual_seed(seed)
    expected = theirs._loss_by_feat_single(
        class_logits,
        mask_logits,
        [
            InstanceData(labels=label, masks=mask.long())
            for label, mask in zip(labels, masks, strict=True)
        ],
        [{}, {}],
    )
    torch.manual_seed(seed)
    losses = ours._loss_by_feat_single(
        class_logits,
        mask_logits,
        [
            targets(label.tolist(), mask)
            for label, mask in zip(labels, masks, strict=True)
        ],
        [{}, {}],
    )

    for loss, other in zip(losses, expected, strict=True):
        assert_close(loss, other.squeeze())


# ---- nothing unlabelled trains ----------------------------------------------


@pytest.mark.parametrize('scale', [1, 4], ids=['same size', 'stride 4'])
def test_mask_losses_send_no_gradient_to_unlabelled_pixels(build_head, scale):
    head = build_head(train_cfg={'num_points': 2000})
    masks = halves(16 * scale).transpose(1, 2)
    valid = torch.zeros(16 * scale, 16 * scale, dtype=torch.bool)
    valid[:, : 10 * scale] = True
    logits = torch.randn(2, 16, 16, requires_grad=True)

    loss_mask, loss_dice = mask_losses(
        head, logits, masks, valid.expand_as(masks)
    )

    for loss in (loss_mask, loss_dice):
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        # a labelled point of a finer target reaches one logit further
        first = 10 if scale == 1 else 11
        assert (gradient[..., first:] == 0).all()
        assert (gradient[..., 1:9] != 0).float().mean() > 0.9


def test_all_losses_send_no_mask_gradient_to_unlabelled_pixels(build_head):
    head = build_head(train_cfg={'num_points': 500})
    valid = torch.ones(16, 16, dtype=torch.bool)
    valid[4:12, 4:12] = False
    class_logits = torch.randn(1, 6, 5)
    mask_logits = torch.randn(1, 6, 16, 16, requires_grad=True)

    losses = head._loss_by_feat_single(
        class_logits,
        mask_logits,
        [targets([0, 3], halves(), valid)],
        [{}],
    )
    sum(losses).backward()

    assert (mask_logits.grad[..., 4:12, 4:12] == 0).all()
    assert (mask_logits.grad[..., :3, :] != 0).any()


def test_fully_unlabelled_mask_costs_and_trains_nothing(build_head):
    head = build_head()
    logits = torch.randn(1, 16, 16, requires_grad=True)

    loss_mask, loss_dice = mask_losses(
        head,
        logits,
        torch.ones(1, 16, 16, dtype=torch.bool),
        torch.zeros(1, 16, 16, dtype=torch.bool),
    )
    (loss_mask + loss_dice).backward()

    assert loss_mask == loss_dice == 0
    assert (logits.grad == 0).all()


def test_matcher_does_not_look_at_unlabelled_pixels(build_head, match_at):
    head = build_head()
    valid = torch.ones(4, 4, dtype=torch.bool)
    valid[:, 2:] = False
    # On labelled pixels query 1 fits the mask; on all pixels query 0 would.
    mask = torch.tensor([[[1, 0, 1, 1]] * 4], dtype=torch.bool)
    changed = torch.tensor([[[1, 0, 0, 0]] * 4], dtype=torch.bool)
    mask_logits = (
        9 * torch.tensor([[[-1, -1, 1, 1]] * 4, [[1, -1, -1, -1]] * 4]).float()
    )
    class_logits = torch.zeros(2, 3)
    match_at(head, centres(*((r, c) for r in range(4) for c in range(4))))

    queries, objects, _ = match(
        head, class_logits, mask_logits, targets([0], mask, valid)
    )
    assert (queries.tolist(), objects.tolist()) == ([1], [0])

    again, _, _ = match(
        head, class_logits, mask_logits, targets([0], changed, valid)
    )
    assert again.tolist() == [1]

    # The scene does tell the two apart: labelled, query 0 is the better.
    labelled, _, _ = match(head, class_logits, mask_logits, targets([0], mask))
    assert labelled.tolist() == [0]


def test_predictions_on_unlabelled_pixels_do_not_move_the_match(build_head):
    head = build_head(train_cfg={'num_points': 300})
    valid = torch.ones(16, 16, dtype=torch.bool)
    valid[:, 9:] = False
    gt = targets([2, 0], torch.rand(2, 16, 16) > 0.5, valid)
    class_logits = torch.randn(6, 5)
    mask_logits = torch.randn(6, 16, 16)
    torch.manual_seed(1)
    expected = match(head, class_logits, mask_logits, gt)

    for _ in range(5):
        mask_logits[..., 9:] = 10 * torch.randn(6, 16, 7)
        torch.manual_seed(1)
        queries, objects, _ = match(head, class_logits, mask_logits, gt)
        assert torch.equal(queries, expected[0])
        assert torch.equal(objects, expected[1])


@pytest.mark.parametrize(
    ('limit', 'spared'), [(0.5, True), (0.8, False), (None, False)]
)
def test_unmatched_query_on_unlabelled_pixels_is_not_pushed_to_no_object(
    build_head, match_at, sample_at, limit, spared
):
    # Three quarters of query 1 lie on unlabelled pixels, none of query 2.
    head = build_head(train_cfg={'ignore_query_overlap': limit})
    points = centres(*((r, c) for r in range(4) for c in range(4)))
    match_at(head, points)
    sample_at(head, points)
    valid = torch.ones(4, 4, dtype=torch.bool)
    valid[1:] = False
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0, :2] = True
    mask_logits = torch.full((1, 3, 4, 4), -9.0)
    mask_logits[0, 0, 0, :2] = 9.0
    mask_logits[0, 1, :, 3] = 9.0
    mask_logits[0, 2, 0, 2] = 9.0
    class_logits = torch.zeros(1, 3, 3, requires_grad=True)

    loss_cls, _, _ = head._loss_by_feat_single(
        class_logits, mask_logits, [targets([0], mask, valid)], [{}]
    )
    loss_cls.backward()

    moved = (class_logits.grad[0] != 0).any(-1)
    assert moved.tolist() == [True, not spared, True]
    # The mean is over the weights that remain: 1 + 0.1 (+ 0.1).
    total = 1.1 if spared else 1.2
    assert_close(
        class_logits.grad[0, 0], torch.tensor([-2.0, 1, 1]) / 3 / total
    )


def test_matched_query_learns_even_on_unlabelled_pixels(build_head, match_at):
    head = build_head(train_cfg={'ignore_query_overlap': 0.1})
    points = centres(*((r, c) for r in range(4) for c in range(4)))
    match_at(head, points)
    valid = torch.ones(4, 4, dtype=torch.bool)
    valid[1:] = False
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 0] = True

    queries, _, ignored = match(
        head,
        torch.zeros(1, 3),
        torch.full((1, 4, 4), 9.0),
        targets([0], mask, valid),
    )
    assert (queries.tolist(), ignored.tolist()) == ([0], [True])

    class_logits = torch.zeros(1, 1, 3, requires_grad=True)
    head._loss_by_feat_single(
        class_logits,
        torch.full((1, 1, 4, 4), 9.0),
        [targets([0], mask, valid)],
        [{}],
    )[0].backward()
    assert (class_logits.grad != 0).all()


def test_empty_query_is_no_query_on_unlabelled_pixels(build_head, match_at):
    head = build_head()
    match_at(head, centres((0, 0), (2, 2)))
    valid = torch.zeros(4, 4, dtype=torch.bool)

    _, _, ignored = match(
        head,
        torch.zeros(2, 3),
        torch.full((2, 4, 4), -9.0),
        targets([], torch.zeros(0, 4, 4), valid),
    )

    assert ignored.tolist() == [False, False]


@pytest.mark.parametrize(
    ('id_', 'raises'),
    [(BACKGROUND_SEGMENT_ID, True), (0, False), (255, False)],
    ids=['background', 'void', 'padding'],
)
def test_mask_over_background_costs_and_over_unlabelled_pixels_does_not(
    build_head, id_, raises
):
    # the same points whatever the logits
    head = build_head(
        train_cfg={'num_points': 500, 'importance_sample_ratio': 0.0}
    )
    segment_map = torch.full((16, 16), id_)
    segment_map[:, :8] = FIRST_SEGMENT_ID
    image = task_targets(
        segment_map,
        [{'id': FIRST_SEGMENT_ID, 'label': 1, 'iscrowd': 1, 'exact': 1}],
        Vocabulary.from_names(['cow', 'bird'], things=['cow', 'bird']),
        Task.SEMANTIC,
    )
    fits = torch.full((1, 1, 16, 16), -9.0)
    fits[..., :8] = 9.0
    spills = fits.clone()
    spills[..., 4:12, 10:] = 9.0
    nothing = torch.full((1, 1, 16, 16), -9.0)
    nothing[..., 10:] = 9.0
    class_logits = torch.zeros(1, 1, 3)

    def losses(mask_logits, image):
        torch.manual_seed(0)
        return head._loss_by_feat_single(
            class_logits, mask_logits, [image], [{}]
        )

    for i in (1, 2):  # focal and dice
        more = losses(spills, image)[i] - losses(fits, image)[i]
        assert (more > 0.1) if raises else (more == 0)
    # a query there learns that it shows no object, or is left alone
    image.labels, image.masks = image.labels[:0], image.masks[:0]
    assert (losses(nothing, image)[0] > 0) == raises


# ---- specks, strips, numbers that are none ----------------------------------


@pytest.mark.parametrize('shape', [(1, 25), (25, 1), (1, 1), (2, 2)], ids=str)
def test_match_on_specks_and_strips_is_by_mask(build_head, shape):
    head = build_head(train_cfg={'num_points': 40})
    valid = torch.zeros(32, 32, dtype=torch.bool)
    valid[3 : 3 + shape[0], 5 : 5 + shape[1]] = True
    mask_logits = torch.full((3, 32, 32), -9.0)
    mask_logits[1] = torch.where(valid, 9.0, -9.0)

    for seed in range(20):
        torch.manual_seed(seed)
        queries, objects, _ = match(
            head,
            torch.zeros(3, 3),
            mask_logits,
            targets([0], valid[None], valid),
        )
        assert (queries.tolist(), objects.tolist()) == ([1], [0])


def test_match_where_nothing_is_labelled_is_by_class(build_head):
    head = build_head()
    class_logits = torch.tensor([[0.0, 1, 0], [0, 0, 1], [2, 0, 0]])
    nothing = torch.zeros(16, 16, dtype=torch.bool)

    queries, objects, _ = match(
        head,
        class_logits,
        torch.randn(3, 16, 16),
        targets([0, 1], nothing.expand(2, -1, -1), nothing),
    )

    assert dict(zip(objects.tolist(), queries.tolist(), strict=True)) == {
        0: 2,
        1: 0,
    }


def random_targets(count, size, classes):
    """Images of which a strip, a speck, a pixel or nothing is labelled."""
    images = []
    for kind in torch.randint(5, (count,)).tolist():
        low, high = torch.randint(1, size, (2,)).sort().values.tolist()
        at = torch.randint(size, (2,)).tolist()
        shape = [(1, high), (high, 1), (1, 1), (1 + low % 5, 1 + high % 5)]
        height, width = [*shape, (0, 0)][kind]
        valid = torch.zeros(size, size, dtype=torch.bool)
        valid[at[0] : at[0] + height, at[1] : at[1] + width] = True
        parts = valid & (torch.rand(2, 1, 1) * torch.rand(size, size) > 0.2)
        parts[1] &= ~parts[0]
        parts = parts[parts.flatten(1).any(1)]
        labels = torch.randint(classes, (len(parts),))
        images.append(targets(labels.tolist(), parts, valid))
    return images


def test_losses_of_any_labelled_shape_are_finite(build_head):
    head = build_head(train_cfg={'num_points': 24})
    torch.manual_seed(0)
    per_batch = 100
    for _ in range(10_000 // per_batch):
        class_logits = torch.randn(per_batch, 4, 4, requires_grad=True)
        mask_logits = torch.randn(per_batch, 4, 8, 8, requires_grad=True)
        batch = random_targets(per_batch, 32, 3)

        losses = head._loss_by_feat_single(
            class_logits, mask_logits, batch, [{}] * per_batch
        )
        sum(losses).backward()

        assert all(loss.isfinite() for loss in losses)
        assert class_logits.grad.isfinite().all()
        assert mask_logits.grad.isfinite().all()
        # every image with a mask teaches it
        learned = mask_logits.grad.flatten(1).any(1).tolist()
        assert learned == [len(image.labels) > 0 for image in batch]


@pytest.mark.parametrize(
    ('where', 'number'),
    [('classes', math.nan), ('classes', math.inf), ('masks', math.nan)],
)
def test_diverged_network_ends_in_a_sentence(build_head, where, number):
    head = build_head()
    logits = {
        'classes': torch.zeros(1, 6, 5),
        'masks': torch.zeros(1, 6, 16, 16),
    }
    logits[where][:] = number

    with pytest.raises(DivergedError, match='matching costs .*lower learning'):
        head._loss_by_feat_single(
            logits['classes'],
            logits['masks'],
            [targets([0, 3], halves())],
            [{}],
        )


# ---- images without masks ---------------------------------------------------


@pytest.mark.parametrize('counts', [(0, 0), (0, 2)], ids=['both', 'one'])
def test_images_without_masks_keep_every_parameter_in_the_graph(
    build_head, feats, texts, vocabulary, counts
):
    head = build_head()
    batch = [targets([0, 1][:n], halves(64)[:n]) for n in counts]

    losses = head.loss(feats, texts[:1], vocabulary, batch)
    sum(losses.values()).backward()

    assert all(loss.isfinite() for loss in losses.values())
    if not any(counts):
        assert losses['loss_mask'] == losses['loss_dice'] == 0
        assert losses['loss_cls'] > 0
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_wholly_unlabelled_image_trains_no_query_that_shows_something(
    build_head, match_at
):
    head = build_head()
    match_at(head, centres((0, 0), (2, 2)))
    class_logits = torch.zeros(1, 2, 3, requires_grad=True)
    mask_logits = torch.full((1, 2, 4, 4), 9.0, requires_grad=True)

    losses = head._loss_by_feat_single(
        class_logits,
        mask_logits,
        [targets([], torch.zeros(0, 4, 4), torch.zeros(4, 4).bool())],
        [{}],
    )
    sum(losses).backward()

    assert all(loss == 0 for loss in losses)
    assert (class_logits.grad == 0).all()
    assert (mask_logits.grad == 0).all()


# ---- as released ------------------------------------------------------------


def test_mask_losses_on_all_pixels_by_hand(build_head):
    head = build_head(train_cfg={'all_pixels': True})
    masks = torch.tensor([[[True, True], [False, False]]])
    # one logit that is enlarged to four pixels
    logits = torch.full((1, 1, 1), math.log(3))  # probability 3 / 4

    loss_mask, loss_dice = mask_losses(
        head, logits, masks, torch.ones_like(masks)
    )

    inside = 0.25 * (1 / 4) ** 2 * -math.log(3 / 4)
    outside = 0.75 * (3 / 4) ** 2 * -math.log(1 / 4)
    assert loss_mask == pytest.approx(20 * (inside + outside) / 2)
    dice = 1 - (2 * 2 * 0.75 + 1) / (4 * 0.75 + 2 + 1)
    assert loss_dice == pytest.approx(5 * dice)
    # an unlabelled row takes no part
    valid = torch.tensor([[[True, True], [False, False]]])
    loss_mask, _ = mask_losses(head, logits, masks, valid)
    assert loss_mask == pytest.approx(20 * inside / 2)


def test_matching_on_all_pixels_takes_the_nearest(build_head):
    head = build_head(train_cfg={'all_pixels': True})
    # the mask holds pixels that no cell of 2 x 2 comes from, and one that does
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, 1, :] = masks[0, 2, 2] = True
    mask_logits = torch.full((6, 2, 2), -5.0)
    mask_logits[4, 1, 1] = 5.0
    mask_logits[2, 0, :] = 5.0

    queries, objects, _ = match(
        head, torch.zeros(6, 5), mask_logits, targets([0], masks)
    )

    assert (queries.tolist(), objects.tolist()) == ([4], [0])


def head_loss(build_head, feats, texts, vocabulary, train_cfg):
    """Losses of two images, half of them unlabelled."""
    torch.manual_seed(0)
    head = build_head(train_cfg={'all_pixels': True, **train_cfg})
    valid = torch.zeros(16, 16, dtype=torch.bool)
    valid[:8] = True
    masks = halves() & valid
    batch = [targets([0, 3], masks, valid)] * 2
    return head.loss(feats, texts[:1], vocabulary, batch)


def test_unlabelled_pixels_are_negatives_if_asked_for(
    build_head, feats, texts, vocabulary
):
    usual, released = (
        head_loss(
            build_head, feats, texts, vocabulary,
            {'unlabelled_is_negative': choice, 'ignore_query_overlap': None},
        )
        for choice in (False, True)
    )  # fmt: skip
    assert released['loss_mask'] != usual['loss_mask']
    assert released['loss_dice'] > usual['loss_dice']


def test_last_but_one_layer_has_no_losses_if_asked_for(
    build_head, feats, texts, vocabulary
):
    usual, released = (
        head_loss(
            build_head, feats, texts, vocabulary,
            {'supervise_last_but_one': choice},
        )
        for choice in (True, False)
    )  # fmt: skip
    # two layers: before the first, after it, after the last
    assert len(usual) - len(released) == 3
    for name in ('loss_mask', 'd0.loss_mask', 'loss_cls', 'd0.loss_cls'):
        assert_close(released[name], usual[name])
    assert 'd1.loss_cls' in usual
    assert 'd1.loss_cls' not in released


@pytest.mark.parametrize('alone', [False, True])
def test_class_loss_is_averaged_in_the_process_if_asked_for(
    build_head, monkeypatch, alone
):
    # another process has as many queries again, of three times the weight
    monkeypatch.setattr(module, 'reduce_mean', lambda x: 2 * x)
    head = build_head(train_cfg={'class_mean_per_process': alone})
    loss, *_ = head._loss_by_feat_single(
        torch.zeros(1, 6, 5),
        torch.zeros(1, 6, 4, 4),
        [targets([0], torch.ones(1, 4, 4))],
        [{}],
    )
    assert loss == pytest.approx(math.log(5) / (1 if alone else 2))
