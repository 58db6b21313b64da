import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.structures import Vocabulary


class Recorder(torch.nn.Module):
    """Stands where the classifier is; keeps the query features."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, query_feats, *_):
        self.seen.append(query_feats)
        return query_feats


@torch.no_grad()
def test_proposals_equal_mmdets_mask2former_at_every_layer(
    build_head, build_stock_head, feats, texts, vocabulary
):
    ours, theirs = build_head(context_interaction=None), build_stock_head()
    shared = {
        key: value
        for key, value in theirs.state_dict().items()
        if not key.startswith('cls_embed')
    }
    missing, unexpected = ours.load_state_dict(shared, strict=False)
    assert {key.split('.')[0] for key in missing} == {'cls_embed'}
    assert unexpected == []
    ours.cls_embed, theirs.cls_embed = Recorder(), torch.nn.Identity()

    _, our_masks = ours(feats, texts, vocabulary)
    their_queries, their_masks = theirs(feats, [])

    assert len(our_masks) == len(their_masks) == 3  # before, after 1 and 2
    for our, their in zip(our_masks, their_masks, strict=True):
        assert our.shape == (2, 1, 6, 16, 16)
        assert_close(our[:, 0], their, rtol=0, atol=1e-5)
    for our, their in zip(ours.cls_embed.seen, their_queries, strict=True):
        assert_close(our[:, 0], their, rtol=0, atol=1e-5)


@torch.no_grad()
def test_three_tasks_at_once_equal_each_alone(
    build_head, feats, texts, vocabulary
):
    head = build_head()

    classes, masks = head(feats, texts, vocabulary)

    assert [x.shape for x in classes] == [(2, 3, 6, 5)] * 3
    assert [x.shape for x in masks] == [(2, 3, 6, 16, 16)] * 3
    for task in range(3):
        alone = head(feats, texts[task : task + 1], vocabulary)
        for together, apart in zip((classes, masks), alone, strict=True):
            for layer, single in zip(together, apart, strict=True):
                assert_close(
                    layer[:, task], single[:, 0], rtol=1e-4, atol=1e-4
                )


@torch.no_grad()
def test_images_of_a_batch_do_not_mix(build_head, feats, texts, vocabulary):
    head = build_head()

    classes, masks = head.predict(feats, texts, vocabulary)

    for image in range(2):
        alone = head.predict(
            [x[image : image + 1] for x in feats], texts, vocabulary
        )
        assert_close(classes[image], alone[0][0], rtol=1e-4, atol=1e-4)
        assert_close(masks[image], alone[1][0], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_without_interaction_all_tasks_share_their_masks(
    build_head, feats, texts, vocabulary
):
    head = build_head(context_interaction=None)

    classes, masks = head.predict(feats, texts, vocabulary)

    assert masks.shape == (2, 1, 6, 16, 16)
    assert classes.shape == (2, 3, 6, 5)
    again = head.predict(feats, texts.flip(1), vocabulary)[1]
    assert torch.equal(masks, again)
    assert not any('context' in name for name, _ in head.named_parameters())


@torch.no_grad()
def test_with_interaction_the_text_moves_queries_and_mask_features(
    build_head, feats, texts, vocabulary
):
    head = build_head()
    torch.nn.init.ones_(head.context_interaction.gamma)
    other = torch.nn.functional.normalize(torch.randn_like(texts), dim=-1)

    before = head(feats, texts, vocabulary)[1]
    after = head(feats, other, vocabulary)[1]

    # The first prediction knows only the mask features, later ones also the
    # three maps.
    for one, two in zip(before, after, strict=True):
        assert (one - two).abs().max() > 1e-3


@torch.no_grad()
def test_zero_interaction_is_no_interaction(
    build_head, feats, texts, vocabulary
):
    plain, guided = build_head(context_interaction=None), build_head()
    guided.load_state_dict(plain.state_dict(), strict=False)
    torch.nn.init.zeros_(guided.context_interaction.gamma)

    plain_classes, plain_masks = plain.predict(feats, texts, vocabulary)
    classes, masks = guided.predict(feats, texts, vocabulary)

    assert_close(masks, plain_masks.expand(-1, 3, -1, -1, -1))
    assert_close(classes, plain_classes)


@torch.no_grad()
def test_last_layer_only_is_the_last_of_all(
    build_head, feats, texts, vocabulary
):
    head = build_head()

    frame_stride = head(feats, texts, vocabulary)
    last = head(feats, texts, vocabulary, every_layer=False)

    for all_layers, only in zip(frame_stride, last, strict=True):
        assert len(only) == 1
        assert torch.equal(only[0], all_layers[-1])
    classes, masks = head.predict(feats, texts, vocabulary)
    assert torch.equal(classes, frame_stride[0][-1])
    assert torch.equal(masks, frame_stride[1][-1])


@torch.no_grad()
def test_any_number_of_classes(build_head, feats):
    head = build_head()

    for count in (1, 7, 300):
        text = torch.nn.functional.normalize(torch.randn(1, count, 16), dim=-1)
        words = Vocabulary.from_names(map(str, range(count)))
        classes, _ = head.predict(feats, text, words)
        assert classes.shape == (2, 1, 6, count + 1)


def test_attention_is_blocked_outside_of_the_mask_unless_it_is_empty(
    build_head,
):
    head = build_head()
    logits = torch.full((1, 3, 4, 4), -1.0)
    logits[0, 0, :2, :2] = 1.0
    logits[0, 1] = 1.0

    blocked = head._attention_mask(logits, torch.Size((2, 2)))

    assert blocked.shape == (head.num_heads, 3, 4)
    assert blocked[0].tolist() == [
        [False, True, True, True],
        [False, False, False, False],
        [False, False, False, False],  # empty: looks everywhere
    ]
    assert all(torch.equal(x, blocked[0]) for x in blocked)


@pytest.mark.parametrize('number', [0, -1, float('nan'), 2.5, '9'])
def test_points_are_counted_in_whole_numbers(build_head, number):
    with pytest.raises(ValueError, match=r'train_cfg\.num_points: expected'):
        build_head(train_cfg={'num_points': number})


def test_class_weight_must_come_from_the_vocabulary(build_head):
    with pytest.raises(
        ValueError,
        match=r'loss_cls\.class_weight has one entry per class.*'
        'set no_object_weight instead',
    ):
        build_head(
            loss_cls={'type': 'CrossEntropyLoss', 'class_weight': [1.0, 0.1]}
        )
