import pytest
import torch

from freeseg_mm.models.clip import TextTower

TEXTS = ['cat', 'A photo of a traffic light.', 'sky-other']


def padded_ids(tower, length=None):
    ids = [
        [tower.start_id, *tower.token_ids(text), tower.end_id]
        for text in TEXTS
    ]
    length = length or max(map(len, ids))
    end = torch.tensor([len(i) - 1 for i in ids])
    return torch.tensor([[*i, *[0] * (length - len(i))] for i in ids]), end


@pytest.mark.parametrize(
    ('changes', 'embed_dim'),
    [
        ({}, 16),
        ({'custom_text': True}, 16),
        ({'text_cfg': {'proj_bias': True}}, 16),
        ({'text_cfg': {'proj_type': 'none'}, 'embed_dim': 32}, 32),
        ({'text_cfg': {'context_length': 24}}, 16),
    ],
    ids=['plain', 'custom', 'linear', 'no projection', 'short'],
)
def test_encode_equals_open_clip(changes, embed_dim, make_tower):
    clip, tokenizer, tower = make_tower(**changes)
    ids, end = padded_ids(tower)

    embeds = tower.encode(tower.embed_tokens(ids), end)

    expected = clip.encode_text(tokenizer(TEXTS), normalize=True)
    assert tower.embed_dim == embed_dim == embeds.shape[1]
    torch.testing.assert_close(embeds, expected)


def test_what_stands_behind_the_end_changes_nothing(tiny_clip):
    tower = tiny_clip.text
    short, end = padded_ids(tower)
    full, _ = padded_ids(tower, tower.context_length)
    noisy = full.clone()
    for row, position in zip(noisy, end, strict=True):
        row[position + 1 :] = 320

    embeds = tower.encode(tower.embed_tokens(short), end)

    assert short.shape[1] < 77
    for ids in (full, noisy):
        torch.testing.assert_close(
            tower.encode(tower.embed_tokens(ids), end), embeds
        )


def test_sizes_and_ids(tiny_clip):
    tower = tiny_clip.text

    assert tower.width == 32
    assert tower.embed_dim == 16
    assert tower.context_length == 77
    assert (tower.start_id, tower.end_id) == (49406, 49407)
    assert tower.device == torch.device('cpu')


def test_token_ids_are_the_tokenizers_without_frame(tiny_clip, open_clip_twin):
    tokens = open_clip_twin[1]('A Traffic light.')[0]
    expected = tokens[1 : tokens.argmax()].tolist()

    assert list(tiny_clip.text.token_ids('A Traffic light.')) == expected
    # known ids of OpenAI's vocabulary: 'a', 'cat'
    assert tiny_clip.text.token_ids('a cat') == (320, 2368)


def test_architecture_is_what_the_weights_do_not_tell(make_tower):
    def architecture(name, **changes):
        return make_tower(name, **changes)[2].architecture

    plain = architecture('one')
    others = [
        {'quick_gelu': True},
        {'text_cfg': {'heads': 4}},
        {'text_cfg': {'norm_kwargs': {'eps': 0.1}}},
        {'text_cfg': {'tokenizer_kwargs': {'clean': 'canonicalize'}}},
    ]

    assert architecture('two') == plain
    assert architecture('three', vision_cfg={'width': 64}) == plain
    different = {
        architecture(f'other{i}', **changes)
        for i, changes in enumerate(others)
    }
    assert len({plain, *different}) == 1 + len(others)


def test_embeddings_have_unit_length(tiny_clip):
    ids, end = padded_ids(tiny_clip.text)

    embeds = tiny_clip.text.encode(tiny_clip.text.embed_tokens(ids), end)

    torch.testing.assert_close(embeds.norm(dim=1), torch.ones(3))


def test_gradient_passes_through_to_the_vectors_only(tiny_clip):
    tower = tiny_clip.text
    ids, end = padded_ids(tower)
    vectors = tower.embed_tokens(ids).clone().requires_grad_()

    tower.encode(vectors, end)[:, 0].sum().backward()

    before_end = torch.arange(ids.shape[1]) <= end[:, None]
    assert (vectors.grad[before_end].abs().sum(-1) > 0).all()
    assert (vectors.grad[~before_end] == 0).all()
    assert all(p.grad is None for p in tiny_clip.clip.parameters())


def test_tokenizer_of_another_kind_is_refused(open_clip_twin):
    class Tokenizer:
        """Not CLIP's: it has no end-of-text token."""

    with pytest.raises(TypeError, match="with Tokenizer.*CLIP's tokenizer"):
        TextTower(open_clip_twin[0], Tokenizer())
