import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models.heads.ensemble import ensemble_scores, score_examples
from freeseg_mm.models.predict_options import ENSEMBLE_MODES, ClassExample
from freeseg_mm.structures import Vocabulary

# One query; classes: a seen one and an unseen one; then no-object. Logits are
# logarithms of chosen probabilities.
QUERY = torch.tensor([0.48, 0.32, 0.20]).log().view(1, 1, 1, 3)
CLIP = torch.tensor([0.1, 0.9]).log().view(1, 1, 1, 2)
IS_SEEN = torch.tensor([True, False])
OBJECT = 0.8
IN_CLASSES = (0.6, 0.4)  # the query's distribution over the classes


def ensemble(mode, query=QUERY, clip=CLIP, is_seen=IS_SEEN):
    return ensemble_scores(
        query, clip, is_seen, mode=mode, seen_weight=0.75, unseen_weight=0.25
    )


def test_query_alone_by_hand():
    scores = ensemble('query')

    assert_close(scores.flatten(), torch.tensor([0.48, 0.32]))


def test_clip_alone_by_hand():
    scores = ensemble('clip')

    assert_close(scores.flatten(), OBJECT * torch.tensor([0.1, 0.9]))


def test_arithmetic_by_hand():
    seen = 0.75 * 0.6 + 0.25 * 0.1  # 0.475
    unseen = 0.25 * 0.4 + 0.75 * 0.9  # 0.775

    scores = ensemble('arithmetic')

    expected = OBJECT * torch.tensor([seen, unseen]) / 1.25
    assert_close(scores.flatten(), expected)


def test_geometric_by_hand():
    seen = 0.6**0.75 * 0.1**0.25
    unseen = 0.4**0.25 * 0.9**0.75

    scores = ensemble('geometric')

    expected = OBJECT * torch.tensor([seen, unseen]) / (seen + unseen)
    assert_close(scores.flatten(), expected)


# the released mode is not renormalised
@pytest.mark.parametrize('mode', sorted({*ENSEMBLE_MODES} - {'released'}))
def test_what_is_missing_to_one_is_no_object(mode):
    query, clip = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 5, 7)
    is_seen = torch.arange(7) < 4

    scores = ensemble(mode, query, clip, is_seen)

    assert scores.shape == (2, 3, 5, 7)
    assert (scores >= 0).all()
    assert_close(scores.sum(-1), 1 - query.softmax(-1)[..., -1])


@pytest.mark.parametrize('mode', ['geometric', 'arithmetic'])
def test_weight_one_and_zero_are_the_single_views(mode):
    query, clip = torch.randn(1, 1, 5, 8), torch.randn(1, 1, 5, 7)
    is_seen = torch.arange(7) < 4

    for weight, alone in ((1.0, 'query'), (0.0, 'clip')):
        scores = ensemble_scores(
            query,
            clip,
            is_seen,
            mode=mode,
            seen_weight=weight,
            unseen_weight=weight,
        )
        assert_close(scores, ensemble(alone, query, clip, is_seen))


def test_one_class_gets_all_of_the_objectness():
    query = torch.tensor([0.3, 0.7]).log().view(1, 1, 1, 2)

    scores = ensemble(
        'geometric', query, torch.zeros(1, 1, 1, 1), torch.tensor([False])
    )

    assert scores.item() == pytest.approx(0.3)


def test_unlikely_objects_keep_their_order():
    # objects of probability e^-30 and e^-40: 1 - p_no_object would be 0
    query = torch.tensor([[-30.0, -35.0, 0.0], [-40.0, -45.0, 0.0]])

    scores = ensemble('query', query.view(1, 1, 2, 3))

    expected = torch.tensor([-30.0, -40.0]).exp()
    assert_close(scores[0, 0, :, 0], expected, rtol=1e-4, atol=0.0)


def test_query_mode_needs_no_clip():
    assert_close(ensemble('query', clip=None), ensemble('query'))


@pytest.mark.parametrize('mode', ['geometric', 'arithmetic', 'clip'])
def test_other_modes_need_clip(mode):
    with pytest.raises(
        ValueError, match=f"mode '{mode}' needs CLIP's scores.*to 'query'"
    ):
        ensemble(mode, clip=None)


def test_unknown_mode():
    with pytest.raises(
        ValueError, match=r"ensemble mode 'mean' is none of \('geometric', "
    ):
        ensemble('mean')


def test_clips_certainty_takes_from_no_object_by_hand():
    plain = ensemble('geometric').flatten()

    trusting = ensemble_scores(
        QUERY,
        CLIP,
        IS_SEEN,
        mode='geometric',
        seen_weight=0.75,
        unseen_weight=0.25,
        clip_trust=0.5,
    ).flatten()

    # no-object 0.2 becomes 0.2 (1 - 0.5 * 0.9) = 0.11
    assert_close(trusting, plain * 0.89 / OBJECT)


# ---- classes that are known by images ----

CLASSES = Vocabulary.from_names(['cat', 'logo', 'dog'])


def scored_by_images(logits, embeds, rows, shown=None, weight=0.0):
    examples = [
        ClassExample(name, torch.tensor(row), weight)
        for name, row in rows.items()
    ]
    if shown is None:
        shown = [True] * len(embeds)
    return score_examples(
        torch.tensor(logits)[None, None],
        torch.tensor(embeds)[None, None],
        torch.tensor(shown)[None, None],
        CLASSES,
        examples,
        10.0,
    )[0, 0]


def test_images_are_brought_to_the_range_of_words():
    # the best words are 1 and 7, on average 4; all words are 3 on average
    logits = [[1.0, 0.0, 1.0], [3.0, 0.0, 7.0]]
    embeds = [[0.2, 0.0], [0.8, 0.0]]
    row = {'logo': [1.0, 0.0]}
    # 10, a cosine of 1, becomes 4 and 2, the other mask's, becomes 3
    found = scored_by_images(logits, embeds, row)
    assert_close(found[:, 1], torch.tensor([3.0, 3.75]))
    assert_close(found[:, [0, 2]], torch.tensor(logits)[:, [0, 2]])
    half = scored_by_images(logits, embeds, row, weight=0.5)
    assert_close(half[:, 1], torch.tensor([1.5, 1.875]))
    words = scored_by_images(logits, embeds, row, weight=1.0)
    assert_close(words, torch.tensor(logits))


def test_masks_that_were_not_shown_do_not_count():
    logits = [[1.0, 0.0, 1.0], [3.0, 0.0, 7.0], [90.0, 0.0, 90.0]]
    embeds = [[0.2, 0.0], [0.8, 0.0], [0.0, 0.0]]
    found = scored_by_images(
        logits, embeds, {'logo': [1.0, 0.0]}, [True, True, False]
    )
    assert_close(found[:2, 1], torch.tensor([3.0, 3.75]))


def test_an_image_without_a_mask_is_no_trouble():
    found = scored_by_images(
        [[1.0, 0.0, 1.0]], [[0.0, 0.0]], {'logo': [1.0, 0.0]}, [False]
    )
    assert found.isfinite().all()


def test_images_alone_are_taken_as_they_are():
    rows = {'cat': [1.0, 0.0], 'logo': [0.0, 1.0], 'dog': [0.6, 0.8]}
    found = scored_by_images([[0.0] * 3], [[0.0, 1.0]], rows)
    assert_close(found, torch.tensor([[0.0, 10.0, 8.0]]))
