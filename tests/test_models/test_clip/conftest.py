"""CLIPs of several kinds, all tiny."""

import json

import pytest
import torch
from torch import nn

from freeseg_mm.models import FrozenCLIP

VISION = {
    'vit': {'patch_size': 8, 'layers': 2, 'width': 32, 'head_width': 16},
    # 4 heads in the attention pool
    'resnet': {'layers': [1, 1, 2, 1], 'width': 8, 'head_width': 64},
    'convnext': {
        'timm_model_name': 'test_convnext',
        'timm_model_pretrained': False,
        'timm_pool': '',
        'timm_proj': 'linear',
    },
}


@pytest.fixture(scope='session')
def build_clip(tmp_path_factory):
    """Build a FrozenCLIP of a kind of image tower, with changes to it.

    Weights are seeded and far from open_clip's own start, which makes all
    images look alike. ``config`` are changes beside ``vision_cfg``.
    """
    built = {}
    folder = tmp_path_factory.mktemp('clips')

    def build(kind='vit', *, config=None, image_size=32, **vision):
        vision = {**VISION[kind], 'image_size': image_size, **vision}
        content = {
            'embed_dim': 16,
            'vision_cfg': vision,
            'text_cfg': {
                'context_length': 77,
                'vocab_size': 49408,
                'width': 32,
                'heads': 2,
                'layers': 1,
            },
            **(config or {}),
        }
        text = json.dumps(content)
        if text not in built:
            path = folder / f'{kind}_of_tests_{len(built)}.json'
            path.write_text(text)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                clip = FrozenCLIP(model=str(path), pretrained='random')
                scramble(clip.clip.visual)
            built[text] = clip
        return built[text]

    return build


def scramble(visual):
    for module in visual.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    for name, parameter in visual.named_parameters():
        if parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter)
        elif parameter.dim() > 1 or name == 'class_embedding':
            nn.init.normal_(parameter, std=0.2)
        elif name.endswith('bias'):
            nn.init.normal_(parameter, std=0.05)
        elif 'gamma' in name or 'norm' in name or 'bn' in name:
            nn.init.uniform_(parameter, 0.5, 1.5)


@pytest.fixture
def rectangle():
    """Draw mask logits of one rectangle, (h, w): +9 inside, -9 outside."""

    def draw(size, rows=(0, None), columns=(0, None)):
        logits = torch.full(size, -9.0)
        logits[slice(*rows), slice(*columns)] = 9.0
        return logits

    return draw


@pytest.fixture
def make_tower(tiny_clip_config, tmp_path):
    """Make a CLIP, its tokenizer and our way into it, from config changes."""

    def make(name='variant_clip', text_cfg=None, **changes):
        import open_clip
        import torch

        from freeseg_mm.models.clip import TextTower

        with open(tiny_clip_config.model) as file:
            content = json.load(file)
        content['text_cfg'].update(text_cfg or {})
        content.update(changes)
        path = tmp_path / f'{name}.json'
        path.write_text(json.dumps(content))
        open_clip.add_model_config(path)
        clip = open_clip.create_model(name).eval().requires_grad_(False)
        # biases and scales start as zeros and ones, which hide mistakes
        for parameter in clip.parameters():
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, mean=0.5, std=0.3)
        tokenizer = open_clip.get_tokenizer(name)
        return clip, tokenizer, TextTower(clip, tokenizer)

    return make
