"""Parameter names of other systems' checkpoints, as rules to ours.

Tables are text: a line has a name there and a name here, behind the prefixes
that stand in brackets above. ``{i}`` is a number, ``*`` all that is left, a
target of ``-`` drops the parameter, and ``row`` marks a vector that is kept
as a matrix of one row. The first line that fits a name counts.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

_SHOWN = 5
_BATCH_NORM_COUNT = '.num_batches_tracked'

# Mask2Former of detectron2 and of mmdet, without backbone and classifier.
_MASK2FORMER = """
[sem_seg_head.pixel_decoder. panoptic_head.pixel_decoder.]
input_proj.{i}.0.*       input_convs.{i}.conv.*
input_proj.{i}.1.*       input_convs.{i}.gn.*
transformer.level_embed  level_encoding.weight
mask_features.*          mask_feature.*
adapter_1.norm.*         lateral_convs.0.gn.*
adapter_1.*              lateral_convs.0.conv.*
layer_1.norm.*           output_convs.0.gn.*
layer_1.*                output_convs.0.conv.*
[sem_seg_head.pixel_decoder.transformer. panoptic_head.pixel_decoder.]
encoder.layers.{i}.self_attn.*  encoder.layers.{i}.self_attn.*
encoder.layers.{i}.norm1.*      encoder.layers.{i}.norms.0.*
encoder.layers.{i}.norm2.*      encoder.layers.{i}.norms.1.*
encoder.layers.{i}.linear1.*    encoder.layers.{i}.ffn.layers.0.0.*
encoder.layers.{i}.linear2.*    encoder.layers.{i}.ffn.layers.1.*
[sem_seg_head.predictor.transformer_ panoptic_head.transformer_decoder.]
cross_attention_layers.{i}.multihead_attn.*  layers.{i}.cross_attn.attn.*
cross_attention_layers.{i}.norm.*            layers.{i}.norms.0.*
self_attention_layers.{i}.self_attn.*        layers.{i}.self_attn.attn.*
self_attention_layers.{i}.norm.*             layers.{i}.norms.1.*
ffn_layers.{i}.linear1.*                     layers.{i}.ffn.layers.0.0.*
ffn_layers.{i}.linear2.*                     layers.{i}.ffn.layers.1.*
ffn_layers.{i}.norm.*                        layers.{i}.norms.2.*
[sem_seg_head.predictor. panoptic_head.]
decoder_norm.*         transformer_decoder.post_norm.*
query_feat.*           query_feat.*
static_query.*         query_feat.*
query_embed.*          query_embed.*
level_embed.*          level_embed.*
input_proj.{i}.*       decoder_input_projs.{i}.*
mask_embed.layers.0.*  mask_embed.0.*
mask_embed.layers.1.*  mask_embed.2.*
mask_embed.layers.2.*  mask_embed.4.*
[]
criterion.*            -
pixel_mean             -
pixel_std              -
"""
_RESNET = ''.join(
    f"""
[backbone.res{stage + 1}.{{i}}. backbone.layer{stage}.{{i}}.]
conv{{k}}.norm.*  bn{{k}}.*
conv{{k}}.*       conv{{k}}.*
shortcut.norm.*   downsample.1.*
shortcut.*        downsample.0.*
"""
    for stage in range(1, 5)
)
_TEXT_CLASSIFIER = """
[sem_seg_head.predictor.class_embed.layers. panoptic_head.cls_embed.project.]
0.*  0.*
1.*  2.*
2.*  4.*
"""

LAYOUTS = {
    'mmdet': """
backbone.*       backbone.*
panoptic_head.*  panoptic_head.*
""",
    'detectron2': f"""
[backbone.stem. backbone.]
conv1.norm.*  bn1.*
conv1.*       conv1.*
{_RESNET}
[sem_seg_head.predictor. panoptic_head.]
class_embed.*  cls_embed.*
{_MASK2FORMER}
""",
    # a tower is kept where it was tuned, see `convert`; the frozen one beside
    # it is of OVRCOAT's training
    'fcclip': f"""
[sem_seg_head.predictor. panoptic_head.]
logit_scale                   cls_embed.log_temperature
_mask_pooling_proj.*          mask_pooling.*
[]
void_embedding.weight         panoptic_head.cls_embed.no_object  row
backbone.clip_model.visual.*  backbone.tower.*
backbone.clip_model.*         -
frozen_backbone.*             -
{_TEXT_CLASSIFIER}
{_MASK2FORMER}
""",
    'released': f"""
[backbone.stem. backbone.stem.]
conv1.norm.*  1.*
conv1.*       0.*
conv2.norm.*  4.*
conv2.*       3.*
conv3.norm.*  7.*
conv3.*       6.*
{_RESNET}
[sem_seg_head.interaction. panoptic_head.context_interaction.]
layer_norm_q_1.*  visual_norm.*
layer_norm_k_1.*  text_norm.*
attn.q_proj.*     query.*
attn.k_proj.*     key.*
attn.v_proj.*     value.*
attn.out_proj.*   output.*
gamma             gamma
[clip_adapter. ]
prompt_learner.prefix_prompt  prompt_learner.class_prompt
prompt_learner.task_prompt    prompt_learner.task_prompt
prompt_learner.start_signal   -
prompt_learner.dot_signal     -
prompt_learner.end_signal     -
prompt_learner.pad_signal     -
non_object_embedding          panoptic_head.cls_embed.no_object  row
clip_model.*                  -
pixel_mean                    -
pixel_std                     -
{_TEXT_CLASSIFIER}
{_MASK2FORMER}
""",
}
"""Tables by the name of a layout."""

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
    rules = _rules(layout)
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
            f'layout {layout!r} has no rule for {len(unnamed)} parameters: '
            f'{_listed(unnamed)}; is the file of another layout? known are '
            + ', '.join(LAYOUTS)
        )
    for name, value in wanted.items():
        if name.endswith(_BATCH_NORM_COUNT) and name not in found:
            found[name] = torch.zeros_like(value)
    missing = sorted(wanted.keys() - found.keys())
    extra = sorted(found.keys() - wanted.keys())
    if missing:
        problems.append(
            f'the file lacks {len(missing)} parameters: {_listed(missing)}'
        )
    if extra:
        named = [f'{name} (there {sources[name]})' for name in extra]
        problems.append(
            f'the model has no {len(extra)} parameters: {_listed(named)}'
        )
    problems += [
        f'{name} is {tuple(found[name].shape)} in the file and '
        f'{tuple(value.shape)} in the model'
        for name, value in sorted(wanted.items())
        if name in found and found[name].shape != value.shape
    ]
    if problems:
        raise ValueError(
            f'the file does not fit the config: {_listed(problems, "; ")}'
        )
    return {
        # contiguous and of its own memory: saved bytes depend on values alone
        name: found[name].detach().to(wanted[name].dtype).clone(
            memory_format=torch.contiguous_format
        )
        for name in sorted(wanted)
    }  # fmt: skip


def _listed(parts: Sequence[str], between: str = ', ') -> str:
    more = len(parts) - _SHOWN
    rest = f'{between}and {more} more' if more > 0 else ''
    return between.join(parts[:_SHOWN]) + rest


class _Rule(NamedTuple):
    source: re.Pattern[str]
    target: str
    is_row: bool


def _rename(
    name: str, rules: Sequence[_Rule]
) -> tuple[_Rule | None, str | None]:
    """Find the rule of a name, and its name here, ``None`` for dropped."""
    for rule in rules:
        if match := rule.source.fullmatch(name):
            parts = match.groupdict()
            rest = parts.pop('rest', '')
            target = rule.target.format(**parts).replace('*', rest)
            return rule, target or None
    return None, None


@cache
def _rules(layout: str) -> tuple[_Rule, ...]:
    if layout not in LAYOUTS:
        raise ValueError(
            f'no layout {layout!r}; known are {", ".join(LAYOUTS)}'
        )
    rules = []
    there = here = ''
    for line in filter(None, LAYOUTS[layout].splitlines()):
        if line.startswith('['):
            there, _, here = line[1:-1].partition(' ')
            continue
        source, target, *marks = line.split()
        pattern = re.escape(there + source).replace(r'\*', '(?P<rest>.+)')
        pattern = re.sub(r'\\{(\w+)\\}', r'(?P<\1>\\d+)', pattern)
        target = '' if target == '-' else here + target
        rules.append(_Rule(re.compile(pattern), target, 'row' in marks))
    return tuple(rules)
