import numpy as np
import pytest
import torch
from torch.testing import assert_close

from freeseg_mm.models import SemanticContextInteraction
from freeseg_mm.models.layers import (
    semantic_context_interaction as module_file,
)

HEADS, CHANNELS, VISUAL, TEXT = 2, 8, 6, 4
# Projections are folded into the text while P * 6 < 4 * (6 + P).
FEW, MANY = 5, 12


@pytest.fixture
def interaction():
    module = SemanticContextInteraction(
        feat_channels=VISUAL,
        embed_dim=TEXT,
        attention_channels=CHANNELS,
        num_heads=HEADS,
    )
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module.eval()


@pytest.fixture
def maps():
    return [torch.randn(2, VISUAL, 3, 4), torch.randn(2, VISUAL, 1, 2)]


@pytest.fixture
def texts():
    return torch.nn.functional.normalize(torch.randn(3, 5, TEXT), dim=-1)


def norm(x, layer):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * layer.weight.numpy() + layer.bias.numpy()


def project(x, layer):
    return x @ layer.weight.numpy().T + layer.bias.numpy()


def by_the_paper(module, feature_map, text):
    """Eq. 7-9 for one image and one task, head by head, and its sum."""
    pixels = feature_map.reshape(VISUAL, -1).T  # (hw, c)
    names = norm(text, module.text_norm)
    query = project(norm(pixels, module.visual_norm), module.query)
    key, value = project(names, module.key), project(names, module.value)
    width = CHANNELS // HEADS
    heads = []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        weight = np.exp(query[:, part] @ key[:, part].T / np.sqrt(width))
        weight /= weight.sum(1, keepdims=True)
        heads.append(weight @ value[:, part])
    update = project(np.concatenate(heads, axis=1), module.output)
    enhanced = pixels + module.gamma.numpy() * update
    return enhanced.T.reshape(feature_map.shape)


def random_texts(count):
    return torch.nn.functional.normalize(torch.randn(3, count, TEXT), dim=-1)


@torch.no_grad()
@pytest.mark.parametrize('count', [1, FEW, MANY])
def test_equals_the_papers_equations(interaction, maps, count):
    texts = random_texts(count)
    enhanced = interaction(maps, texts)

    for feature_map, result in zip(maps, enhanced, strict=True):
        assert result.shape == (2, 3, *feature_map.shape[1:])
        for image in range(2):
            for task in range(3):
                expected = by_the_paper(
                    interaction,
                    feature_map[image].double().numpy(),
                    texts[task].double().numpy(),
                )
                assert_close(
                    result[image, task],
                    torch.from_numpy(expected).float(),
                    rtol=1e-4,
                    atol=1e-4,  # float32 against double
                )


@pytest.mark.parametrize(('count', 'folded'), [(FEW, True), (MANY, False)])
def test_pixels_are_projected_only_where_that_is_cheaper(
    interaction, maps, count, folded
):
    projections = []
    interaction.query.register_forward_hook(lambda *_: projections.append(1))

    interaction(maps, random_texts(count))

    assert len(projections) == (0 if folded else len(maps))


def run_with_gradients(module, maps, texts):
    leaves = [x.clone().requires_grad_() for x in (*maps, texts)]
    module.zero_grad()
    enhanced = module(leaves[:-1], leaves[-1])
    sum((x**3).sum() for x in enhanced).backward()
    learned = [*leaves, *module.parameters()]
    return [*enhanced, *(x.grad for x in learned)]


def test_both_ways_give_the_same_results_and_gradients(
    interaction, maps, texts, monkeypatch
):
    interaction.double()
    maps, texts = [x.double() for x in maps], texts.double()
    results = []
    for folded in (True, False):
        monkeypatch.setattr(
            interaction, '_folding_pays', lambda _, folded=folded: folded
        )
        results.append(run_with_gradients(interaction, maps, texts))

    for one, other in zip(*results, strict=True):
        assert_close(one, other)


@torch.no_grad()
def test_few_scores_at_a_time_change_nothing(
    interaction, maps, texts, monkeypatch
):
    whole = interaction(maps, texts)
    held = []
    read = interaction._read

    def counted(pixels, key, bias, value):
        held.append(pixels[..., 0].numel() * len(key))
        return read(pixels, key, bias, value)

    monkeypatch.setattr(interaction, '_read', counted)
    monkeypatch.setattr(module_file, 'SCORE_BUDGET', 100)

    parts = interaction(maps, texts)

    # 2 images x 2 heads x 5 prompts a pixel
    assert max(held) == 100
    for one, other in zip(whole, parts, strict=True):
        assert_close(one, other)


def kept_scores(step):
    """Elements kept for the backward pass, of tensors as wide as scores."""
    kept = []

    def keep(tensor):
        if tensor.shape[-1] in (5, HEADS * 5):  # unflattened or not
            kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        result = step()
    return result, sum(kept)


def test_scores_of_many_names_are_made_again_for_gradients(
    interaction, maps, texts, monkeypatch
):
    """The same results and gradients; dropout draws alike both times."""
    interaction.train().double()
    maps = [feature_map.double() for feature_map in maps]
    texts = texts.double().requires_grad_()

    def step():
        # one image at a time: pieces then draw as the whole does
        results = [
            result
            for image in range(2)
            for result in interaction(
                [feature_map[image : image + 1] for feature_map in maps], texts
            )
        ]
        loss = sum(result.square().sum() for result in results)
        return loss, *torch.autograd.grad(loss, [texts, *weights])

    weights = list(interaction.parameters())
    torch.manual_seed(0)
    whole, kept = kept_scores(step)
    monkeypatch.setattr(module_file, 'SCORE_BUDGET', 40)
    torch.manual_seed(0)
    still_whole, _ = kept_scores(step)
    monkeypatch.setattr(interaction, 'kept_scores', 40)
    torch.manual_seed(0)
    pieces, kept_in_pieces = kept_scores(step)

    for one, same, other in zip(whole, still_whole, pieces, strict=True):
        assert torch.equal(one, same)
        assert_close(one, other)
    # the large map of 12 pixels is made again, the small one of 2 is kept
    assert kept_in_pieces < kept / 3


def test_zero_output_projection_leaves_the_features(interaction, maps, texts):
    torch.nn.init.zeros_(interaction.output.weight)
    torch.nn.init.zeros_(interaction.output.bias)

    for feature_map, result in zip(
        maps, interaction(maps, texts), strict=True
    ):
        for task in range(3):
            assert torch.equal(result[:, task], feature_map)


def test_zero_scale_leaves_the_features_and_still_learns(maps, texts):
    module = SemanticContextInteraction(
        feat_channels=VISUAL,
        embed_dim=TEXT,
        attention_channels=CHANNELS,
        num_heads=HEADS,
        layer_scale=0.0,
    )

    result = module(maps, texts)

    assert torch.equal(result[0][:, 1], maps[0])
    result[0].sum().backward()
    assert (module.gamma.grad != 0).all()


def test_order_of_the_texts_does_not_matter(interaction, maps, texts):
    turned = texts[:, torch.tensor([3, 0, 4, 1, 2])]

    for one, other in zip(
        interaction(maps, texts), interaction(maps, turned), strict=True
    ):
        assert_close(one, other)


def test_tasks_together_equal_tasks_apart(interaction, maps, texts):
    together = interaction(maps, texts)

    for task in range(3):
        apart = interaction(maps, texts[task : task + 1])
        for one, other in zip(together, apart, strict=True):
            assert_close(one[:, task], other[:, 0])


def test_each_map_is_seen_alone(interaction, maps, texts):
    both = interaction(maps, texts)

    assert_close(both[1], interaction(maps[1:], texts)[0])


def test_text_decides_what_is_added(interaction, maps, texts):
    one = interaction(maps, texts)[0]
    other = interaction(maps, texts.flip(-1))[0]

    assert (one - other).abs().max() > 0.1


def test_dropout_only_in_training(interaction, maps, texts):
    calm = interaction(maps, texts)[0]
    assert torch.equal(calm, interaction(maps, texts)[0])

    interaction.train()
    assert not torch.allclose(calm, interaction(maps, texts)[0])


def test_start_of_the_layer_scale():
    module = SemanticContextInteraction(
        feat_channels=VISUAL, embed_dim=TEXT, layer_scale=0.1
    )

    assert module.gamma.tolist() == pytest.approx([0.1] * VISUAL)
    assert module.query.weight.shape == (2048, VISUAL)


def test_heads_must_divide_the_width():
    with pytest.raises(
        ValueError,
        match='attention_channels=8 is not a multiple of num_heads=3',
    ):
        SemanticContextInteraction(
            feat_channels=VISUAL,
            embed_dim=TEXT,
            attention_channels=8,
            num_heads=3,
        )


@torch.no_grad()
@pytest.mark.parametrize('count', [1, FEW, MANY])
def test_as_the_equations_are_written(maps, count):
    """Eq. 7 to 9 with nothing around them: no norm, residual or scale."""
    module = SemanticContextInteraction(
        feat_channels=maps[0].shape[1],
        embed_dim=TEXT,
        attention_channels=16,
        num_heads=2,
        residual=False,
        norms=False,
        layer_scale=None,
    ).eval()
    texts = random_texts(count)

    enhanced = module(maps, texts)

    assert {name.split('.')[0] for name, _ in module.named_parameters()} == {
        'query', 'key', 'value', 'output',
    }  # fmt: skip
    for feature_map, result in zip(maps, enhanced, strict=True):
        pixels = feature_map[0].flatten(1).T
        query, key = module.query(pixels), module.key(texts[0])
        value = module.value(texts[0])
        heads = [
            (query[:, part] @ key[:, part].T / 8**0.5).softmax(1)
            @ value[:, part]
            for part in (slice(0, 8), slice(8, 16))
        ]
        expected = module.output(torch.cat(heads, dim=1)).T
        assert_close(result[0, 0].flatten(1), expected, rtol=1e-4, atol=1e-5)


def two_by_two(**options):
    """A module of identities with one map of two pixels of two channels."""
    module = SemanticContextInteraction(
        feat_channels=2,
        embed_dim=2,
        attention_channels=2,
        num_heads=1,
        layer_scale=0.5,
        **options,
    ).eval()
    for layer in (module.query, module.key, module.value, module.output):
        torch.nn.init.eye_(layer.weight)
    if options.get('norms', True):
        # a norm of two numbers is a sign; this makes it 3 and -3
        module.text_norm.weight.data.fill_(3.0)
    # pixels (4, 0) and (1, 5), which a norm makes (1, -1) and (-1, 1)
    return module, torch.tensor([[[[4.0, 1.0]], [[0.0, 5.0]]]])


@torch.no_grad()
def test_released_options_by_hand():
    text = torch.tensor([[[1.0, 0.0]]])  # one key, so it is all that is seen
    # the text's norm is (3, -3), half of it is added
    for residual, expected in (
        (True, [[5.5, 2.5], [-1.5, 3.5]]),
        ('normalized', [[2.5, 0.5], [-2.5, -0.5]]),
        (False, [[1.5, 1.5], [-1.5, -1.5]]),
    ):
        module, pixels = two_by_two(residual=residual)
        (found,) = module([pixels], text)
        assert_close(
            found[0, 0, :, 0], torch.tensor(expected), rtol=0, atol=1e-4
        )


@torch.no_grad()
def test_no_object_is_a_further_key():
    text, nothing = torch.tensor([[[1.0, 0.0]]]), torch.tensor([0.0, 1.0])
    module, pixels = two_by_two(residual=False, no_object_key=True)
    (found,) = module([pixels], text, nothing)
    # keys (3, -3) and (-3, 3): scores 6 and -6, over the root of 2
    share = 1 / (1 + np.exp(-12 / 2**0.5))
    assert_close(
        found[0, 0, :, 0],
        torch.tensor([[1.5, -1.5], [-1.5, 1.5]]) * (2 * share - 1),
        rtol=0,
        atol=1e-4,
    )
    with pytest.raises(ValueError, match='needs no_object'):
        module([pixels], text)


@torch.no_grad()
@pytest.mark.parametrize('folds', [True, False])
@pytest.mark.parametrize('again', [True, False])
def test_each_map_normalizes_the_text_once_more(folds, again, monkeypatch):
    module, pixels = two_by_two(residual=False, cumulative_text_norm=again)
    monkeypatch.setattr(module, '_folding_pays', lambda _: folds)
    # this norm turns a sign each time: (0, 1), (1, -1), (-1, 1), (1, -1)
    module.text_norm.weight.data.fill_(-1.0)
    found = module([pixels] * 3, torch.tensor([[[0.0, 1.0]]]))
    for index, x in enumerate(found):
        half = -0.5 if again and index == 1 else 0.5
        expected = torch.tensor([half, -half])
        assert_close(x[0, 0, :, 0, 0], expected, rtol=0, atol=1e-4)


def test_options_that_contradict_each_other():
    sizes = {'feat_channels': 2, 'embed_dim': 2}
    with pytest.raises(ValueError, match="residual 'none' is none of"):
        SemanticContextInteraction(**sizes, residual='none')
    for option in ({'residual': 'normalized'}, {'cumulative_text_norm': True}):
        with pytest.raises(ValueError, match='set norms=True'):
            SemanticContextInteraction(**sizes, norms=False, **option)
