"""FC-CLIP at a size for tests: weights by a rule, its numbers, its config.

What it is and where it is from: data/fcclip/README.md.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

__all__ = [
    'DATA',
    'drawn_by_rule',
    'fcclip_config',
    'fcclip_numbers',
    'fcclip_state',
]

REPO = Path(__file__).resolve().parents[1]
DATA = REPO / 'tests' / 'data' / 'fcclip'
SEEDS = {'convnext': 18, 'rn': 39}
CHANNELS = {'convnext': [32, 64, 96, 128], 'rn': [32, 64, 128, 256]}
CONFIGS = {'convnext': 'fcclip_convnext_large', 'rn': 'fcclip_r50'}
WIDTH = 64
CLIP = 'backbone.clip_model.'


def fcclip_state(kind='convnext'):
    """A checkpoint's state dict with FC-CLIP's own names, CLIP's and all."""
    keys = json.loads((DATA / f'{kind}_keys.json').read_text())
    return {
        key: drawn_by_rule(key, tuple(shape), SEEDS[kind])
        for key, shape in keys.items()
    }


def fcclip_numbers():
    """What FC-CLIP computes of a photograph, by name."""
    with np.load(DATA / 'convnext_padded.npz') as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays}


def fcclip_config(clip_weights, kind='convnext'):
    """The zoo's config of FC-CLIP at this size.

    Args:
        clip_weights: File that CLIP's weights are written to.
        kind: Of CLIP's image tower, ``convnext`` or ``rn``.
    """
    clip = {
        key.removeprefix(CLIP): value
        for key, value in fcclip_state(kind).items()
        if key.startswith(CLIP)
    }
    torch.save(clip, clip_weights)
    init_default_scope('mmdet')
    config = Config.fromfile(REPO / f'configs/zoo/{CONFIGS[kind]}.py')
    attention = {'embed_dims': WIDTH, 'num_heads': 4}
    positions = {'num_feats': WIDTH // 2}
    decoder_layer = {
        'self_attn_cfg': attention,
        'cross_attn_cfg': attention,
        'ffn_cfg': {'embed_dims': WIDTH, 'feedforward_channels': 128},
    }
    sizes = {
        'clip': {
            'model': str(DATA / f'open_clip_{kind}.json'),
            'pretrained': str(clip_weights),
        },
        'panoptic_head': {
            'in_channels': CHANNELS[kind],
            'feat_channels': WIDTH,
            'out_channels': WIDTH,
            'num_queries': 20,
            'classifier': {'hidden_channels': WIDTH},
            'pixel_decoder': {
                'encoder': {
                    'num_layers': 2,
                    'layer_cfg': {
                        'self_attn_cfg': attention,
                        'ffn_cfg': {'embed_dims': WIDTH},
                    },
                },
                'positional_encoding': positions,
            },
            'transformer_decoder': {
                'num_layers': 4,
                'layer_cfg': decoder_layer,
            },
            'positional_encoding': positions,
        },
        'test_cfg': {'overlap_thr': 0.2, 'max_per_image': 30},
    }
    config.merge_from_dict({'model': sizes})
    return config


def drawn_by_rule(key, shape, seed):
    """Draw a parameter by the rule of data/fcclip/README.md."""
    seed = (zlib.crc32(key.encode()) + seed) % 2**32
    count = int(np.prod(shape))
    x = np.random.RandomState(seed).standard_normal(count).reshape(shape)
    if key.endswith('logit_scale'):
        x = np.array(2.5 if 'predictor' in key else 3.0)
    elif key.endswith('running_var'):
        x = 1 + 0.1 * np.abs(x)
    elif len(shape) == 1 and key.endswith(('.weight', '.gamma')):
        x = 1 + 0.1 * x
    elif len(shape) == 1:
        x = 0.1 * x
    elif not key.endswith(
        (
            'query_feat.weight',
            'query_embed.weight',
            'token_embedding.weight',
            'positional_embedding',
        )
    ):
        x = x / np.sqrt(np.prod(shape[1:]))
        if key.endswith(
            (
                'out_proj.weight',
                'output_proj.weight',
                'linear2.weight',
                'c_proj.weight',
            )
        ):
            x = 0.3 * x
    return torch.from_numpy(np.asarray(x, np.float32))
