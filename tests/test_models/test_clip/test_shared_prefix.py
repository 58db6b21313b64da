"""Encoding a shared beginning once equals encoding each prompt whole."""

import random

import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models.clip.shared_prefix import PackedPrompts, can_share

LENGTHS = [3, 1, 7, 3]
VARIANTS = {
    'plain': {},
    'quick gelu': {'quick_gelu': True},
    'layer scale': {'text_cfg': {'ls_init_value': 0.5}},
    'custom text': {'custom_text': True},
    'linear': {'text_cfg': {'proj_bias': True}},
    'norm and heads': {'text_cfg': {'heads': 4, 'norm_kwargs': {'eps': 0.1}}},
}
UNKNOWN = {
    'qk norm': {'text_cfg': {'qk_norm': True}},
    'scaled heads': {'text_cfg': {'scale_heads': True}},
    'inner norm': {'text_cfg': {'scale_attn_inner': True}},
    'custom': {'text_cfg': {'block_type': 'custom'}},
}


def whole(tower, prefix, embeddings, end):
    """The same prompts, each passed whole through open_clip's own tower."""
    prompts = torch.cat([prefix.expand(len(end), -1, -1), embeddings], dim=1)
    return tower.encode(prompts, end + len(prefix))


def draw(num_shared=5, lengths=LENGTHS):
    """Random vectors: prefix, suffixes and where these end."""
    return (
        torch.randn(num_shared, 32, requires_grad=True),
        torch.randn(len(lengths), max(lengths), 32, requires_grad=True),
        torch.tensor(lengths) - 1,
    )


def gradients(embeds, *vectors):
    weights = torch.randn(
        embeds.shape, generator=torch.Generator().manual_seed(1)
    )
    return torch.autograd.grad((embeds * weights).sum(), vectors)


@pytest.fixture
def count_tokens(tiny_clip):
    """Count the tokens that pass the blocks' perceptrons."""
    counts = []
    handles = [
        block.mlp.register_forward_hook(
            lambda _, inputs, __: counts.append(inputs[0][..., 0].numel())
        )
        for block in tiny_clip.clip.transformer.resblocks
    ]
    yield counts
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize('changes', VARIANTS.values(), ids=VARIANTS)
def test_equals_whole_prompts(changes, make_tower):
    clip, _, tower = make_tower(**changes)
    prefix, embeddings, end = draw()

    embeds = tower.encode(embeddings, end, prefix)

    expected = whole(tower, prefix, embeddings, end)
    assert can_share(getattr(clip, 'text', clip).transformer)
    assert_close(embeds, expected, rtol=0, atol=1e-6)
    for got, wanted in zip(
        gradients(embeds, prefix, embeddings),
        gradients(expected, prefix, embeddings),
        strict=True,
    ):
        assert wanted.abs().max() > 0.01
        assert_close(got, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize('changes', UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_blocks_get_the_whole_prompts(changes, make_tower):
    clip, _, tower = make_tower(**changes)
    prefix, embeddings, end = draw()

    assert not can_share(clip.transformer)
    assert torch.equal(
        tower.encode(embeddings, end, prefix),
        whole(tower, prefix, embeddings, end),
    )


def test_wrapped_attention_and_hooks_are_unknown(make_tower):
    clip, _, _ = make_tower()
    block = clip.transformer.resblocks[1]
    assert can_share(clip.transformer)

    handle = block.register_forward_hook(lambda *_: None)
    assert not can_share(clip.transformer)
    handle.remove()
    assert can_share(clip.transformer)

    class Adapted(torch.nn.MultiheadAttention):
        """As adapters put in place of the original."""

    block.attn = Adapted(32, 2, batch_first=True)
    assert not can_share(clip.transformer)


@pytest.mark.parametrize(
    ('num_shared', 'lengths'),
    [(5, [4]), (5, [1]), (1, [2, 3]), (70, [7, 2]), (0, [3, 1])],
    ids=['one', 'end only', 'start only', 'whole context', 'no prefix'],
)
def test_counts_at_their_limits(num_shared, lengths, tiny_clip):
    prefix, embeddings, end = draw(num_shared, lengths)

    assert_close(
        tiny_clip.text.encode(embeddings, end, prefix),
        whole(tiny_clip.text, prefix, embeddings, end),
        rtol=0,
        atol=1e-6,
    )


def test_padding_behind_the_end_has_no_influence(tiny_clip):
    prefix, embeddings, end = draw()
    noisy = embeddings.detach().clone()
    for row, last in zip(noisy, end, strict=True):
        row[last + 1 :] = torch.nan

    embeds = tiny_clip.text.encode(noisy, end, prefix)

    assert torch.equal(embeds, tiny_clip.text.encode(embeddings, end, prefix))


def test_tokens_that_pass_the_blocks(tiny_clip, count_tokens):
    prefix, embeddings, end = draw()

    tiny_clip.text.encode(embeddings, end, prefix)

    # the prefix once, of each prompt its own: two blocks
    assert count_tokens == [5 + 3 + 1 + 7 + 3] * 2


def test_many_random_words(tiny_clip, count_tokens):
    rng = random.Random(0)
    words = {
        ' '.join(
            ''.join(rng.choices('aeioubcdfgklmnprst', k=rng.randint(2, 9)))
            for _ in range(rng.randint(1, 3))
        )
        for _ in range(1300)
    }
    text = tiny_clip.text
    ids = [(*text.token_ids(w), text.end_id) for w in sorted(words)][:1203]
    padded = torch.zeros(1203, max(map(len, ids)), dtype=torch.long)
    for row, own in zip(padded, ids, strict=True):
        row[: len(own)] = torch.tensor(own)
    end = torch.tensor([len(own) - 1 for own in ids])
    prefix = torch.randn(29, 32)

    with torch.no_grad():
        embeds = text.encode(text.embed_tokens(padded), end, prefix)
        assert count_tokens == [29 + sum(map(len, ids))] * 2
        expected = whole(text, prefix, text.embed_tokens(padded), end)

    assert_close(embeds, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
def test_mixed_precision_is_as_near_as_whole_prompts_are(dtype, make_tower):
    _, _, tower = make_tower()
    prefix, embeddings, end = draw()
    exact = whole(tower, prefix, embeddings, end)

    with torch.autocast('cpu', dtype):
        embeds = tower.encode(embeddings, end, prefix)
        usual = whole(tower, prefix, embeddings, end)

    assert embeds.dtype == torch.float32
    allowed = 2 * (usual - exact).abs().max().item()
    assert 0 < allowed < 0.1
    assert_close(embeds, exact, rtol=0, atol=allowed)
    assert all(
        gradient.isfinite().all()
        for gradient in gradients(embeds, prefix, embeddings)
    )


def test_rows_slots_and_positions():
    prompts = PackedPrompts.layout([2, 3], 4, 5, torch.device('cpu'))

    assert (prompts.num_shared, prompts.num_prompts) == (5, 2)
    # of 2 x 4 places, the first prompt takes two and the second three
    assert prompts.slots.tolist() == [0, 1, 4, 5, 6]
    assert prompts.positions.tolist() == [0, 1, 2, 3, 4, 5, 6, 5, 6, 7]
    assert prompts.ends.tolist() == [6, 9]


@pytest.mark.gpu
def test_equals_whole_prompts_on_a_gpu(make_tower):
    clip, _, tower = make_tower()
    clip.cuda()
    prefix, embeddings, end = draw()

    embeds = tower.encode(embeddings.cuda(), end, prefix.cuda())

    clip.cpu()
    expected = whole(tower, prefix, embeddings, end)
    assert_close(embeds.cpu(), expected, rtol=0, atol=1e-5)
