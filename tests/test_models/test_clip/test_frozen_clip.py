import json
from copy import deepcopy
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file
from torch import nn

from freeseg_mm.models import FrozenCLIP
from freeseg_mm.models.clip import frozen_clip as module

NAMES = ['a zebra', 'A photo of a long-tailed bird.']


@pytest.fixture(scope='module')
def half_state(tiny_clip_config):
    """Weights that half precision holds exactly."""
    state = torch.load(tiny_clip_config.pretrained, weights_only=True)
    return {key: value.half().float() for key, value in state.items()}


@pytest.fixture(scope='module')
def images():
    return torch.randn(
        2, 3, 32, 32, generator=torch.Generator().manual_seed(1)
    )


def write_archive(state, path):
    """What OpenAI ships: a scripted half-precision model with notes."""
    root = nn.Module()
    notes = {'input_resolution': 32, 'context_length': 77, 'vocab_size': 49408}
    for key, value in notes.items():
        root.register_buffer(key, torch.tensor(value))
    for key, value in state.items():
        *folders, leaf = key.split('.')
        node = root
        for folder in folders:
            if not hasattr(node, folder):
                node.add_module(folder, nn.Module())
            node = getattr(node, folder)
        node.register_parameter(leaf, nn.Parameter(value.half()))
    torch.jit.script(root).save(str(path))


@pytest.fixture(scope='module')
def weight_files(half_state, tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    torch.save(half_state, folder / 'plain.pt')
    torch.save({'state_dict': half_state, 'epoch': 3}, folder / 'epoch.pt')
    save_file(half_state, folder / 'open_clip.safetensors')
    write_archive(half_state, folder / 'openai.pt')
    return folder


def make_config(tiny_clip_config, folder, name, **changes):
    """Write a variant of the tiny CLIP's JSON."""
    content = json.loads(Path(tiny_clip_config.model).read_text())
    for key, value in changes.items():
        if isinstance(value, dict):
            content[key].update(value)
        else:
            content[key] = value
    path = folder / f'{name}.json'
    path.write_text(json.dumps(content))
    return str(path)


def encode_texts(clip):
    text = clip.text
    ids = [
        (text.start_id, *text.token_ids(name), text.end_id) for name in NAMES
    ]
    longest = max(map(len, ids))
    padded = torch.tensor([[*i, *[0] * (longest - len(i))] for i in ids])
    end = torch.tensor([len(i) - 1 for i in ids])
    return text.encode(text.embed_tokens(padded), end)


@pytest.mark.parametrize(
    'file', ['plain.pt', 'epoch.pt', 'open_clip.safetensors', 'openai.pt']
)
def test_every_weight_format_gives_open_clips_embeddings(
    file, weight_files, half_state, tiny_clip_config, open_clip_twin, images
):
    twin = deepcopy(open_clip_twin[0])
    twin.load_state_dict(half_state)

    clip = FrozenCLIP(
        model=tiny_clip_config.model,
        pretrained=str(weight_files / file),
        quick_gelu=False,
    )

    expected = twin.encode_text(open_clip_twin[1](NAMES), normalize=True)
    torch.testing.assert_close(encode_texts(clip), expected)
    torch.testing.assert_close(
        clip.encode_images(images), twin.encode_image(images, normalize=True)
    )


@pytest.mark.parametrize(
    ('file', 'in_config', 'asked', 'expected'),
    [
        ('plain.pt', None, None, False),
        ('plain.pt', None, True, True),
        ('plain.pt', True, None, True),
        ('plain.pt', True, False, False),
        ('openai.pt', None, None, True),
        ('openai.pt', None, False, False),
    ],
)
def test_activation_of_weight_files(
    file, in_config, asked, expected, weight_files, tiny_clip_config, tmp_path
):
    model = tiny_clip_config.model
    if in_config is not None:
        model = make_config(
            tiny_clip_config, tmp_path, 'gelu_clip', quick_gelu=in_config
        )

    clip = FrozenCLIP(
        model=model, pretrained=str(weight_files / file), quick_gelu=asked
    )

    assert has_quick_gelu(clip) == (expected, expected)


def has_quick_gelu(clip):
    """Whether the text and the image tower use QuickGELU."""
    return tuple(
        isinstance(tower.resblocks[0].mlp.gelu, QuickGELU)
        for tower in (clip.clip.transformer, clip.clip.visual.transformer)
    )


@pytest.fixture
def tag(monkeypatch, tiny_clip_config, weight_files):
    """Declare a tag of the tiny model; its download is a local file."""
    declared = {
        'url': 'https://example.invalid/tiny.pt',
        'mean': (0.5, 0.25, 0.125),
        'std': (1.0, 0.5, 0.25),
    }
    monkeypatch.setitem(
        open_clip.pretrained._PRETRAINED, 'tiny_clip', {'mine': declared}
    )
    asked = []

    def download(config, cache_dir=None):
        asked.append(config['url'])
        return str(weight_files / 'plain.pt')

    monkeypatch.setattr(open_clip.factory, 'download_pretrained', download)
    return declared, asked


@pytest.mark.parametrize(
    ('declared', 'asked', 'expected'),
    [
        (None, None, False),
        (True, None, True),
        (False, None, False),
        (True, False, False),
        (False, True, True),
    ],
)
@pytest.mark.filterwarnings('ignore:QuickGELU mismatch')
def test_tag_brings_its_weights_activation_and_colours(
    declared, asked, expected, tag, half_state, tiny_clip_config
):
    declaration, downloads = tag
    if declared is not None:
        declaration['quick_gelu'] = declared

    clip = FrozenCLIP(
        model=tiny_clip_config.model, pretrained='mine', quick_gelu=asked
    )

    assert downloads == [declaration['url']]
    assert has_quick_gelu(clip) == (expected, expected)
    loaded = clip.clip.state_dict()
    assert all(torch.equal(loaded[key], half_state[key]) for key in half_state)
    assert clip.mean.flatten().tolist() == [0.5, 0.25, 0.125]
    assert clip.std.flatten().tolist() == [1.0, 0.5, 0.25]


@pytest.mark.usefixtures('tag')
def test_declared_activation_is_taken_without_open_clips_warning(
    recwarn, tag, tiny_clip_config
):
    tag[0]['quick_gelu'] = True

    FrozenCLIP(model=tiny_clip_config.model, pretrained='mine')

    assert not [w for w in recwarn if 'QuickGELU' in str(w.message)]


@pytest.mark.usefixtures('tag')
def test_failing_download_says_what_to_do(monkeypatch, tiny_clip_config):
    def download(config, cache_dir=None):
        raise OSError('no route to host')

    monkeypatch.setattr(open_clip.factory, 'download_pretrained', download)

    with pytest.raises(
        RuntimeError,
        match=r"tag 'mine' for tiny_clip could not be fetched: .*no route to "
        r'host.* give its path as `pretrained`',
    ):
        FrozenCLIP(model=tiny_clip_config.model, pretrained='mine')


def test_random_weights_are_announced(monkeypatch, tiny_clip_config):
    said = []
    monkeypatch.setattr(
        module,
        'print_log',
        lambda text, logger, level: said.append((text, level)),
    )

    FrozenCLIP(model=tiny_clip_config.model, pretrained='random')

    ((text, level),) = said
    assert 'tiny_clip has RANDOM weights' in text
    assert level == 30  # WARNING


def test_weights_from_a_file_are_not_announced(monkeypatch, tiny_clip_config):
    monkeypatch.setattr(module, 'print_log', lambda *_, **__: 1 / 0)

    FrozenCLIP(
        model=tiny_clip_config.model, pretrained=tiny_clip_config.pretrained
    )


def test_unknown_model_lists_the_known(tiny_clip_config):
    with pytest.raises(ValueError, match=r"'ViT-Q-1'.*known are .*ViT-B-16"):
        FrozenCLIP(model='ViT-Q-1', pretrained='random')


def test_missing_model_config():
    with pytest.raises(
        FileNotFoundError, match=r"no open_clip model config 'nowhere\.json'"
    ):
        FrozenCLIP(model='nowhere.json', pretrained='random')


def test_file_that_is_no_model_config(tmp_path):
    path = tmp_path / 'other.json'
    path.write_text('{"embed_dim": 3}')

    with pytest.raises(ValueError, match=r'other\.json: not an open_clip'):
        FrozenCLIP(model=str(path), pretrained='random')


def test_broken_model_config_does_not_break_the_next(
    tmp_path, tiny_clip_config
):
    path = tmp_path / 'broken.json'
    path.write_text('{"embed_dim": 3')

    with pytest.raises(
        ValueError, match=r'broken\.json: not readable as JSON: .*line 1'
    ):
        FrozenCLIP(model=str(path), pretrained='random')

    # open_clip reads all registered files again each time.
    FrozenCLIP(model=tiny_clip_config.model, pretrained='random')


def test_neither_file_nor_tag_lists_the_tags():
    with pytest.raises(
        FileNotFoundError,
        match=r"weights 'nonsense': neither a file nor a tag of ViT-B-16, "
        r"whose tags are \['openai'.*'random' asks for untrained",
    ):
        FrozenCLIP(model='ViT-B-16', pretrained='nonsense')


def test_weights_of_another_width_are_refused(
    tmp_path, tiny_clip_config, half_state
):
    path = tmp_path / 'wide.pt'
    torch.save({**half_state, 'text_projection': torch.zeros(32, 17)}, path)

    with pytest.raises(
        RuntimeError,
        match=r'(?s)wide\.pt do not load into tiny_clip: .*text_projection',
    ) as raised:
        FrozenCLIP(model=tiny_clip_config.model, pretrained=str(path))
    assert 'size mismatch' in str(raised.value)


def test_archive_of_another_width_is_refused(
    tmp_path, tiny_clip_config, half_state
):
    path = tmp_path / 'wide_archive.pt'
    write_archive({**half_state, 'text_projection': torch.zeros(32, 17)}, path)

    with pytest.raises(RuntimeError, match=r'wide_archive\.pt do not load'):
        FrozenCLIP(model=tiny_clip_config.model, pretrained=str(path))


def test_missing_weight_is_named(tmp_path, tiny_clip_config, half_state):
    path = tmp_path / 'part.pt'
    torch.save(
        {k: v for k, v in half_state.items() if k != 'ln_final.bias'}, path
    )

    with pytest.raises(RuntimeError, match=r'(?s)part\.pt.*ln_final\.bias'):
        FrozenCLIP(model=tiny_clip_config.model, pretrained=str(path))


def test_file_that_holds_no_weights(tmp_path, tiny_clip_config):
    path = tmp_path / 'page.pt'
    path.write_text('<html>404</html>')

    with pytest.raises(RuntimeError, match=r'page\.pt do not load'):
        FrozenCLIP(model=tiny_clip_config.model, pretrained=str(path))


@pytest.mark.parametrize(
    'text',
    [
        {'no_causal_mask': True},
        {'no_causal_mask': True, 'pool_type': 'last'},
        {'embed_cls': True},
        {'pool_type': 'last'},
    ],
    ids=['not causal', 'CLIPA', 'CoCa', 'read at the last token'],
)
def test_text_towers_of_another_kind_are_refused(
    text, tmp_path, tiny_clip_config
):
    model = make_config(
        tiny_clip_config, tmp_path, 'odd_clip', text_cfg=text, custom_text=True
    )

    with pytest.raises(
        TypeError,
        match=r'TextTransformer \(pooling .*\) with SimpleTokenizer: prompts '
        r'need a causal text tower .* such as ViT-B-16',
    ):
        FrozenCLIP(model=model, pretrained='random')


def test_its_weights_are_in_no_checkpoint_and_no_optimizer(tiny_clip):
    assert tiny_clip.state_dict() == {}
    assert list(tiny_clip.parameters()) == []
    assert [name for name, _ in tiny_clip.named_buffers()] == ['mean', 'std']
    assert not any(p.requires_grad for p in tiny_clip.clip.parameters())


def test_eval_mode_outlives_train(tiny_clip_config):
    clip = FrozenCLIP(
        model=tiny_clip_config.model, pretrained=tiny_clip_config.pretrained
    )
    clip.train()

    assert not any(m.training for m in clip.clip.modules())


def test_follows_to_double(tiny_clip, images):
    double = deepcopy(tiny_clip).to(torch.float64)

    assert {p.dtype for p in double.clip.parameters()} == {torch.float64}
    assert double.mean.dtype == torch.float64
    embeds = double.encode_images(images.double())
    assert embeds.dtype == torch.float32
    torch.testing.assert_close(embeds, tiny_clip.encode_images(images))
    torch.testing.assert_close(encode_texts(double), encode_texts(tiny_clip))


def test_images_get_no_gradient(tiny_clip, images):
    images = images.clone().requires_grad_()

    assert not tiny_clip.encode_images(images).requires_grad


def test_normalize_by_hand(tiny_clip):
    colours = torch.tensor([0.0, 127.5, 255.0]).view(1, 3, 1, 1)

    normal = tiny_clip.normalize(colours.expand(1, 3, 2, 2))

    # OpenAI's mean and standard deviation
    expected = torch.tensor(
        [
            (0.0 - 0.48145466) / 0.26862954,
            (0.5 - 0.4578275) / 0.26130258,
            (1.0 - 0.40821073) / 0.27577711,
        ]
    )
    assert normal.shape == (1, 3, 2, 2)
    torch.testing.assert_close(normal[0, :, 1, 0], expected)


def test_sizes(tiny_clip, tmp_path, tiny_clip_config):
    assert tiny_clip.embed_dim == 16
    assert tiny_clip.image_size == (32, 32)

    oblong = make_config(
        tiny_clip_config,
        tmp_path,
        'oblong_clip',
        vision_cfg={'image_size': [32, 16]},
    )
    clip = FrozenCLIP(model=oblong, pretrained='random')
    assert clip.image_size == (32, 16)
    assert clip.encode_images(torch.zeros(1, 3, 32, 16)).shape == (1, 16)


def test_logit_scale_is_what_clip_learned(
    tiny_clip_config, half_state, tmp_path
):
    state = {**half_state, 'logit_scale': torch.tensor(3.0)}
    torch.save(state, tmp_path / 'scaled.pt')

    clip = FrozenCLIP(
        model=tiny_clip_config.model, pretrained=str(tmp_path / 'scaled.pt')
    )

    assert clip.logit_scale == pytest.approx(20.0855, rel=1e-5)  # e^3


def test_fingerprint_tells_weights_apart(
    weight_files, tiny_clip_config, half_state, tmp_path
):
    def fingerprint(path):
        return FrozenCLIP(
            model=tiny_clip_config.model, pretrained=str(path)
        ).fingerprint

    first = fingerprint(weight_files / 'plain.pt')
    assert fingerprint(weight_files / 'open_clip.safetensors') == first
    assert fingerprint(weight_files / 'openai.pt') == first

    changed = deepcopy(half_state)
    changed['ln_final.bias'][0] += 1e-3
    torch.save(changed, tmp_path / 'changed.pt')
    assert fingerprint(tmp_path / 'changed.pt') != first
