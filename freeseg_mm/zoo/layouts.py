"""Parameter names of other systems' checkpoints, as rules to ours.

A rule is two templates of a whole name. ``{i}`` stands for a number, ``*``
for all that is left; a target of ``None`` drops the parameter. The first
rule that fits counts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

_SHOWN = 5


class Rule(NamedTuple):
    """A name there and here.

    Attributes:
        source: Template of a name of the other system.
        target: Template of ours, ``None`` to drop the parameter.
        is_row: Whether it is a vector that is kept as a matrix of one row.
    """

    source: str
    target: str | None
    is_row: bool = False


_BATCH_NORM_COUNT = '.num_batches_tracked'

_ATTENTION = 'panoptic_head.transformer_decoder.layers.{i}.'
_ENCODER = 'sem_seg_head.pixel_decoder.transformer.encoder.layers.{i}.'
_OUR_ENCODER = 'panoptic_head.pixel_decoder.encoder.layers.{i}.'


def _under(
    prefixes: tuple[str, str], pairs: Iterable[tuple[str, str]]
) -> Iterable[Rule]:
    for source, target in pairs:
        yield Rule(prefixes[0] + source, prefixes[1] + target)


# Mask2Former of detectron2 and of mmdet, without backbone and classifier.
_MASK2FORMER = (
    *_under(
        ('sem_seg_head.pixel_decoder.', 'panoptic_head.pixel_decoder.'),
        [
            ('input_proj.{i}.0.*', 'input_convs.{i}.conv.*'),
            ('input_proj.{i}.1.*', 'input_convs.{i}.gn.*'),
            ('transformer.level_embed', 'level_encoding.weight'),
            ('mask_features.*', 'mask_feature.*'),
            ('adapter_1.norm.*', 'lateral_convs.0.gn.*'),
            ('adapter_1.*', 'lateral_convs.0.conv.*'),
            ('layer_1.norm.*', 'output_convs.0.gn.*'),
            ('layer_1.*', 'output_convs.0.conv.*'),
        ],
    ),
    *_under(
        (_ENCODER, _OUR_ENCODER),
        [
            ('self_attn.*', 'self_attn.*'),
            ('norm1.*', 'norms.0.*'),
            ('norm2.*', 'norms.1.*'),
            ('linear1.*', 'ffn.layers.0.0.*'),
            ('linear2.*', 'ffn.layers.1.*'),
        ],
    ),
    *_under(
        ('sem_seg_head.predictor.transformer_', _ATTENTION),
        [
            (
                'cross_attention_layers.{i}.multihead_attn.*',
                'cross_attn.attn.*',
            ),
            ('cross_attention_layers.{i}.norm.*', 'norms.0.*'),
            ('self_attention_layers.{i}.self_attn.*', 'self_attn.attn.*'),
            ('self_attention_layers.{i}.norm.*', 'norms.1.*'),
            ('ffn_layers.{i}.linear1.*', 'ffn.layers.0.0.*'),
            ('ffn_layers.{i}.linear2.*', 'ffn.layers.1.*'),
            ('ffn_layers.{i}.norm.*', 'norms.2.*'),
        ],
    ),
    *_under(
        ('sem_seg_head.predictor.', 'panoptic_head.'),
        [
            ('decoder_norm.*', 'transformer_decoder.post_norm.*'),
            ('query_feat.*', 'query_feat.*'),
            ('static_query.*', 'query_feat.*'),
            ('query_embed.*', 'query_embed.*'),
            ('level_embed.*', 'level_embed.*'),
            ('input_proj.{i}.*', 'decoder_input_projs.{i}.*'),
            *(
                (f'mask_embed.layers.{i}.*', f'mask_embed.{2 * i}.*')
                for i in range(3)
            ),
        ],
    ),
    Rule('criterion.*', None),
    Rule('pixel_mean', None),
    Rule('pixel_std', None),
)
_RESNET = (
    *(
        Rule(f'backbone.stem.conv{i + 1}{norm}.*', f'backbone.stem.{place}.*')
        for i in range(3)
        for norm, place in (('.norm', 3 * i + 1), ('', 3 * i))
    ),
    *(
        rule
        for k in range(2, 6)
        for rule in _under(
            (f'backbone.res{k}.{{i}}.', f'backbone.layer{k - 1}.{{i}}.'),
            [
                ('conv{k}.norm.*', 'bn{k}.*'),
                ('conv{k}.*', 'conv{k}.*'),
                ('shortcut.norm.*', 'downsample.1.*'),
                ('shortcut.*', 'downsample.0.*'),
            ],
        )
    ),
)
_TEXT_CLASSIFIER = tuple(
    Rule(
        f'sem_seg_head.predictor.class_embed.layers.{i}.*',
        f'panoptic_head.cls_embed.project.{2 * i}.*',
    )
    for i in range(3)
)
_NO_OBJECT = 'panoptic_head.cls_embed.no_object'

LAYOUTS: dict[str, Sequence[Rule]] = {
    'mmdet': (
        Rule('backbone.*', 'backbone.*'),
        Rule('panoptic_head.*', 'panoptic_head.*'),
    ),
    'detectron2': (
        # a stem of one convolution, unlike the authors' of three
        Rule('backbone.stem.conv1.norm.*', 'backbone.bn1.*'),
        Rule('backbone.stem.conv1.*', 'backbone.conv1.*'),
        *_RESNET,
        *_under(
            ('sem_seg_head.predictor.', 'panoptic_head.'),
            [('class_embed.*', 'cls_embed.*')],
        ),
        *_MASK2FORMER,
    ),
    'fcclip': (
        *_TEXT_CLASSIFIER,
        *_under(
            ('sem_seg_head.predictor.', 'panoptic_head.'),
            [
                ('logit_scale', 'cls_embed.log_temperature'),
                ('_mask_pooling_proj.*', 'mask_pooling.*'),
            ],
        ),
        Rule('void_embedding.weight', _NO_OBJECT, is_row=True),
        *_MASK2FORMER,
        # kept where the tower was tuned, see `convert`
        Rule('backbone.clip_model.visual.*', 'backbone.tower.*'),
        Rule('backbone.clip_model.*', None),
        Rule('frozen_backbone.*', None),  # of the training of OVRCOAT
    ),
    'released': (
        *_RESNET,
        *_TEXT_CLASSIFIER,
        *_under(
            (
                'sem_seg_head.interaction.',
                'panoptic_head.context_interaction.',
            ),
            [
                ('layer_norm_q_1.*', 'visual_norm.*'),
                ('layer_norm_k_1.*', 'text_norm.*'),
                ('attn.q_proj.*', 'query.*'),
                ('attn.k_proj.*', 'key.*'),
                ('attn.v_proj.*', 'value.*'),
                ('attn.out_proj.*', 'output.*'),
                ('gamma', 'gamma'),
            ],
        ),
        Rule('clip_adapter.non_object_embedding', _NO_OBJECT, is_row=True),
        *_under(
            ('clip_adapter.prompt_learner.', 'prompt_learner.'),
            [
                ('prefix_prompt', 'class_prompt'),
                ('task_prompt', 'task_prompt'),
            ],
        ),
        *(
            Rule(f'clip_adapter.prompt_learner.{name}_signal', None)
            for name in ('start', 'dot', 'end', 'pad')
        ),
        Rule('clip_adapter.clip_model.*', None),
        Rule('clip_adapter.pixel_mean', None),
        Rule('clip_adapter.pixel_std', None),
        *_MASK2FORMER,
    ),
}  # fmt: skip
"""Rules by the name of a layout."""

_FROZEN_TOWER = 'backbone.tower.'


def convert(
    state: Mapping[str, Tensor], layout: str, wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Bring a state dict of another system to the names of a model.

    Counters of batch norms, which other systems lack or which are of no use
    to frozen ones, are 0 where they are missing. An image tower of CLIP is
    dropped if the model keeps its CLIP frozen, and thus in no checkpoint.

    Args:
        state: Parameters and buffers of the other system by name.
        layout: One of :data:`LAYOUTS`.
        wanted: ``state_dict()`` of the model that shall load the result.

    Returns:
        Copies by name, sorted by it, of the dtypes of ``wanted``: exactly
        what a strict ``load_state_dict`` takes.

    Raises:
        ValueError: If there is no such layout, no rule names a parameter,
            or parameters are missing, left over, given twice or of another
            shape; the message lists them.
    """
    rules = _compiled(layout)
    has_tower = any(name.startswith(_FROZEN_TOWER) for name in wanted)
    found: dict[str, Tensor] = {}
    sources: dict[str, str] = {}
    unnamed, problems = [], []
    for source, value in state.items():
        rule, target = _rename(source, rules)
        if rule is None:
            unnamed.append(source)
            continue
        if target is None or (
            target.startswith(_FROZEN_TOWER) and not has_tower
        ):
            continue
        if target in found:
            problems.append(
                f'{source} and {sources[target]} both become {target}'
            )
        is_row = rule.is_row and value.dim() == 2 and len(value) == 1
        found[target], sources[target] = value[0] if is_row else value, source
    if unnamed:
        raise ValueError(
            f'layout {layout!r} has no rule for {_listed(unnamed)}; is the '
            'file of another layout? known are ' + ', '.join(LAYOUTS)
        )
    for name, value in wanted.items():
        if name.endswith(_BATCH_NORM_COUNT) and name not in found:
            found[name] = torch.zeros_like(value)
    missing = sorted(wanted.keys() - found.keys())
    extra = sorted(found.keys() - wanted.keys())
    if missing:
        problems.append(f'the file lacks {_listed(missing)}')
    if extra:
        named = [f'{name} (there {sources[name]})' for name in extra]
        problems.append(f'the model has no {_listed(named)}')
    problems += [
        f'{name} is {tuple(found[name].shape)} in the file and '
        f'{tuple(value.shape)} in the model'
        for name, value in sorted(wanted.items())
        if name in found and found[name].shape != value.shape
    ]
    if problems:
        shown = '; '.join(problems[:_SHOWN])
        more = len(problems) - _SHOWN
        raise ValueError(
            'the file does not fit the config: '
            + shown
            + (f'; and {more} further differences' if more > 0 else '')
        )
    return {
        # contiguous and of its own memory: saved bytes depend on values alone
        name: found[name].detach().to(wanted[name].dtype).clone(
            memory_format=torch.contiguous_format
        )
        for name in sorted(wanted)
    }  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    shown = ', '.join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return f'{len(names)} parameters: {shown}' + (
        f' and {more} more' if more > 0 else ''
    )


def _rename(
    name: str, rules: Sequence[tuple[re.Pattern[str], Rule]]
) -> tuple[Rule | None, str | None]:
    for pattern, rule in rules:
        if match := pattern.fullmatch(name):
            if rule.target is None:
                return rule, None
            parts = match.groupdict()
            rest = parts.pop('rest', '')
            return rule, rule.target.format(**parts).replace('*', rest)
    return None, None


@cache
def _compiled(layout: str) -> tuple[tuple[re.Pattern[str], Rule], ...]:
    if layout not in LAYOUTS:
        raise ValueError(
            f'no layout {layout!r}; known are {", ".join(LAYOUTS)}'
        )
    return tuple(
        (re.compile(_expression(rule.source)), rule)
        for rule in LAYOUTS[layout]
    )


def _expression(template: str) -> str:
    text = re.escape(template).replace(r'\*', r'(?P<rest>.+)')
    return re.sub(r'\\{(\w+)\\}', r'(?P<\1>\\d+)', text)
