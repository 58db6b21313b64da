"""Every config loads, and its model runs once it is made small."""

import json
from copy import deepcopy
from itertools import combinations
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task, Vocabulary

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
RUNS = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
)
# The families a run is put together from.
FAMILIES = {
    'model': 'models/*.py',
    'dataset': 'datasets/*.py',
    'schedule': 'schedules/*.py',
    'runtime': 'default_runtime.py',
}

SIDE = 64
# What sizes are made to be, wherever a model names them.
SMALL = {
    'base_channels': 8,
    'embed_dims': 32,
    'feat_channels': 32,
    'out_channels': 32,
    'hidden_channels': 32,
    'attention_channels': 32,
    'feedforward_channels': 64,
    'num_feats': 16,
    'num_heads': 4,
    'num_groups': 8,
    'num_layers': 2,
    'num_queries': 6,
    'num_points': 64,
    'num_class_tokens': 4,
    'num_task_tokens': 2,
    'size': (SIDE, SIDE),
}


def shrink(node):
    """Make all sizes in a model's config small, in place."""
    for key, value in node.items():
        if isinstance(value, dict):
            shrink(value)
        elif isinstance(value, list | tuple):
            for part in value:
                if isinstance(part, dict):
                    shrink(part)
        if key in SMALL:
            node[key] = min(value, SMALL[key])


def small_model(config, clip):
    """The config's model with its structure, but none of its size."""
    model = deepcopy(config.model)
    model.clip = deepcopy(clip)
    shrink(model)
    # depth 18 is the least a ResNet has; its maps have these channels
    assert 'depth' in model.backbone, 'shrink this kind of backbone too'
    model.backbone.update(depth=18, base_channels=8, init_cfg=None)
    model.panoptic_head.in_channels = [8, 16, 32, 64]
    return model


def load_run(name):
    init_default_scope('mmdet')
    return Config.fromfile(CONFIGS / name)


@pytest.fixture
def vocabulary_of(shapes_world):
    """Load the vocabulary that a data set's config names."""

    def load(dataset):
        in_world = shapes_world / dataset.vocabulary
        made = in_world.is_file()
        return Vocabulary.load(in_world if made else dataset.vocabulary)

    return load


@pytest.fixture
def run_once(make_sample):
    """Losses of two random images, and the predictions of one."""
    labelled = [[1, 2], [3, 3]]
    # most queries lie where nothing is known
    unlabelled = [[1, 2, 0, 0], [3, 0, 0, 0], [0] * 4, [0] * 4]

    def run(model, vocabulary, seed=0):
        torch.manual_seed(seed)
        size = (SIDE, SIDE)
        images = list(torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8))
        seen = vocabulary.seen_only()
        things = [i for i, thing in enumerate(seen.is_thing) if thing]
        labels = [things[0], things[-1], len(seen) - 1]
        samples = [
            make_sample(segment_map, labels, vocabulary=seen, size=size)
            for segment_map in (labelled, unlabelled)
        ]
        preprocess = model.data_preprocessor

        model.train()
        data = {'inputs': images, 'data_samples': samples}
        losses = model(**preprocess(data, training=True), mode='loss')
        model.eval()
        sample = make_sample(vocabulary=vocabulary, task=None, size=size)
        data = {'inputs': images[:1], 'data_samples': [sample]}
        return losses, model(**preprocess(data), mode='predict')[0]

    return run


def test_runs_are_found():
    assert {'freeseg/coco.py', 'freeseg/shapes.py'} <= set(RUNS)


@pytest.mark.parametrize('name', RUNS)
def test_config_loads(name):
    config = load_run(name)
    assert config.model.type == 'freeseg_mm.FreeSeg'
    assert config.default_scope == 'mmdet'
    assert 'freeseg_mm.CompatibilityHook' in [
        hook.type for hook in config.custom_hooks
    ]
    # what trains on seen classes alone is tested on all of them
    assert config.train_dataloader.dataset.split == 'seen'
    for loader in (config.val_dataloader, config.test_dataloader):
        assert loader.dataset.split == 'all'
        assert loader.dataset.test_mode
    # the schedule ends where training ends
    assert config.param_scheduler[-1].end == config.train_cfg.max_iters
    padding = config.model.data_preprocessor.batch_augments[0]
    pipeline = config.train_dataloader.dataset.pipeline
    crop = next(part for part in pipeline if part.type == 'RandomCrop')
    assert padding.size == crop.crop_size


@pytest.mark.parametrize('name', RUNS)
def test_config_says_what_it_is(name):
    first = (CONFIGS / name).read_text().splitlines()[0]
    assert first.startswith('"""')


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.rglob('*.json')), ids=lambda path: path.name
)
def test_clip_config_is_of_open_clip(path):
    content = json.loads(path.read_text())
    assert {'embed_dim', 'vision_cfg', 'text_cfg'} <= set(content)


@pytest.mark.parametrize(('first', 'second'), list(combinations(FAMILIES, 2)))
def test_families_define_different_entries(first, second):
    def entries(family):
        paths = sorted((CONFIGS / '_base_').glob(FAMILIES[family]))
        assert paths
        return {key for path in paths for key in Config.fromfile(path)}

    assert entries(first) & entries(second) == set()


def test_families_are_all_there_is():
    found = set((CONFIGS / '_base_').rglob('*.py'))
    known = {
        path
        for pattern in FAMILIES.values()
        for path in (CONFIGS / '_base_').glob(pattern)
    }
    assert found == known


@pytest.mark.parametrize('name', RUNS)
def test_small_model_computes_losses_and_results(
    name, tiny_clip_config, vocabulary_of, run_once
):
    config = load_run(name)
    train, test = (
        vocabulary_of(loader.dataset)
        for loader in (config.train_dataloader, config.test_dataloader)
    )
    assert train == test
    model = MODELS.build(small_model(config, tiny_clip_config))
    losses, result = run_once(model, test)
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert result.pred_sem_seg.sem_seg.shape == (1, SIDE, SIDE)
    assert result.pred_sem_seg.sem_seg.max() < len(test)
    assert result.pred_instances.masks.shape[1:] == (SIDE, SIDE)
    assert result.pred_panoptic_seg.sem_seg.shape == (1, SIDE, SIDE)


@pytest.mark.parametrize('name', RUNS)
def test_optimizer_rules_match_parameters(name, tiny_clip_config):
    config = load_run(name)
    model = MODELS.build(small_model(config, tiny_clip_config))
    wrapper = config.optim_wrapper
    names = [key for key, value in model.named_parameters()]
    rules = wrapper.paramwise_cfg.custom_keys
    for rule in rules:
        assert any(rule in key for key in names), rule

    optimizer = build_optim_wrapper(model, wrapper).optimizer
    of_parameter = {
        parameter: group
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    lr, decay = wrapper.optimizer.lr, wrapper.optimizer.weight_decay
    norms = (torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.BatchNorm2d)
    norm_parameters = {
        f'{prefix}.{key}'
        for prefix, module in model.named_modules()
        if isinstance(module, norms)
        for key, _ in module.named_parameters(recurse=False)
    }
    for key, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert parameter not in of_parameter
            continue
        group = of_parameter[parameter]
        # the longest rule decides, as mmengine does it
        fitting = [rule for rule in rules if rule in key]
        rule = rules[max(fitting, key=len)] if fitting else {}
        assert group['lr'] == pytest.approx(lr * rule.get('lr_mult', 1)), key
        expected = decay * rule.get('decay_mult', 1)
        if not fitting and key in norm_parameters:
            expected = 0
        assert group['weight_decay'] == pytest.approx(expected), key


@pytest.fixture
def outcome(build_tiny_model, tiny_model_config, tiny_vocabulary, run_once):
    """Everything a change of the model's config may show in.

    Each key of an entry may be dotted.
    """

    def run(change):
        config = Config({'model': deepcopy(tiny_model_config)})
        config.merge_from_dict(
            {f'model.{key}': value for key, value in change.items()}
        )
        model = build_tiny_model(config.model)
        state = {k: v.clone() for k, v in model.state_dict().items()}
        losses, result = run_once(model, tiny_vocabulary)
        return state, losses, result

    return run


def tensors_of(result):
    """All tensors that a prediction holds, by name."""
    found = {}
    for field in ('pred_sem_seg', 'pred_instances', 'pred_panoptic_seg'):
        if field in result:
            found[field] = torch.ones(())
            for key, value in getattr(result, field).items():
                if isinstance(value, torch.Tensor):
                    found[f'{field}.{key}'] = value
    return found


def differences(first, second):
    """Names of the tensors that are not the same in both."""
    return {
        name
        for name in first.keys() | second.keys()
        if name not in first
        or name not in second
        or not torch.equal(first[name], second[name])
    }


FIXED = {'_delete_': True, 'type': 'freeseg_mm.FixedPrompt'}
# Changed settings, and where the change must show: in the parameters, in the
# losses, in the results. A switch without parameters leaves all at the same
# start, so that the others show the switch itself.
SWITCHES = {
    'no interaction': (
        {'panoptic_head.context_interaction': None},
        'parameters losses results',
    ),
    'fixed prompt': ({'prompt_learner': FIXED}, 'parameters losses results'),
    'no task prompt': (
        {'prompt_learner.use_task_prompt': False},
        'parameters losses results',
    ),
    'start first': (
        {'prompt_learner.fusion': 'start_first'},
        'losses results',
    ),
    'joined embeddings': (
        {'prompt_learner.fusion': 'embed'},
        'parameters losses results',
    ),
    'fewer class tokens': (
        {'prompt_learner.num_class_tokens': 4},
        'parameters losses results',
    ),
    'fewer task tokens': (
        {'prompt_learner.num_task_tokens': 2},
        'parameters losses results',
    ),
    'queries alone': (
        {'mask_classifier': None, 'test_cfg.ensemble.mode': 'query'},
        'results',
    ),
    'query scores': ({'test_cfg.ensemble.mode': 'query'}, 'results'),
    'CLIP scores': ({'test_cfg.ensemble.mode': 'clip'}, 'results'),
    'arithmetic': ({'test_cfg.ensemble.mode': 'arithmetic'}, 'results'),
    'seen weight': ({'test_cfg.ensemble.seen_weight': 0.0}, 'results'),
    'unseen weight': ({'test_cfg.ensemble.unseen_weight': 1.0}, 'results'),
    'prompt of CLIP': ({'clip_prompt': FIXED}, 'results'),
    'mask threshold': ({'mask_classifier.mask_thr': 0.7}, 'results'),
    'cross entropy on masks': (
        {
            'panoptic_head.loss_mask': {
                '_delete_': True,
                'type': 'CrossEntropyLoss',
                'use_sigmoid': True,
                'loss_weight': 5.0,
            },
            'panoptic_head.loss_cls.loss_weight': 2.0,
        },
        'losses',
    ),
    'weight of no object': ({'panoptic_head.no_object_weight': 0.9}, 'losses'),
    'unlabelled queries': ({'train_cfg.ignore_query_overlap': None}, 'losses'),
    'temperature': (
        {'panoptic_head.classifier.temperature': 10.0},
        'losses results',
    ),
    'learned temperature': (
        {'panoptic_head.classifier.learn_temperature': True},
        'parameters',
    ),
    'layer scale': (
        {'panoptic_head.context_interaction.layer_scale': 0.5},
        'parameters losses results',
    ),
    'fewer instances': ({'test_cfg.max_per_image': 2}, 'results'),
    'panoptic threshold': ({'test_cfg.object_score_thr': 0.0}, 'results'),
    **{
        f'{task.value} alone': ({'test_cfg.tasks': [task.value]}, 'results')
        for task in Task
    },
}


@pytest.fixture(scope='module')
def made():
    return {}


@pytest.fixture
def unchanged(made, outcome):
    """The outcome of the config as it is, computed once."""
    if not made:
        made['outcome'] = outcome({})
    return made['outcome']


def test_same_config_has_the_same_outcome(outcome, unchanged):
    (state, losses, result), again = unchanged, outcome({})
    assert differences(state, again[0]) == set()
    assert differences(losses, again[1]) == set()
    assert differences(tensors_of(result), tensors_of(again[2])) == set()


@pytest.mark.parametrize('name', SWITCHES)
def test_switch_has_an_effect(name, outcome, unchanged):
    change, places = SWITCHES[name]
    before, after = unchanged, outcome(change)
    changed = {
        'parameters': differences(before[0], after[0]),
        'losses': differences(before[1], after[1]),
        'results': differences(tensors_of(before[2]), tensors_of(after[2])),
    }
    assert {place for place in changed if changed[place]} == set(
        places.split()
    ), changed


@pytest.mark.parametrize('task', Task)
def test_single_task_answers_nothing_else(task, outcome):
    result = outcome({'test_cfg.tasks': [task.value]})[2]
    fields = {
        Task.SEMANTIC: 'pred_sem_seg',
        Task.INSTANCE: 'pred_instances',
        Task.PANOPTIC: 'pred_panoptic_seg',
    }
    found = {field for field in fields.values() if field in result}
    assert found == {fields[task]}


# What may differ between the shapes run and that on COCO, by the last part of
# an entry's name: sizes, and how long and how fast a small run trains.
SIZES = {
    *SMALL,
    'in_channels',
    'max_iters',
    'val_interval',
    'batch_size',
    'num_workers',
    'interval',
    'scale',
    'scales',
    'crop_size',
}
PACE = {'lr', 'lr_mult', 'weight_decay', 'max_norm', 'dropout'}
DATA = {'ann_file', 'data_root', 'img', 'seg', 'sem', 'vocabulary'}
# Variables that config files share; what they set is compared.
SHARED = {'channels', 'short_sides', 'test_scale', 'train_pipeline'}
SHARED |= {'test_pipeline'}


def leaves(node, name=''):
    """Dotted name and value of all that holds no dictionaries."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f'{name}.{key}' if name else key)
    elif isinstance(node, list | tuple) and any(
        isinstance(part, dict) for part in node
    ):
        for index, value in enumerate(node):
            yield from leaves(value, f'{name}.{index}')
    else:
        yield name, node


def test_shapes_run_is_the_coco_run_in_small():
    coco, shapes = (
        load_run(f'freeseg/{name}.py').to_dict() for name in ('coco', 'shapes')
    )
    pipelines = []
    for config in (coco, shapes):
        # compared by themselves: a step more moves all that follow
        pipeline = config['train_dataloader']['dataset'].pop('pipeline')
        pipelines.append(pipeline)
        for name in SHARED:
            config.pop(name, None)
        schedule = config.pop('param_scheduler')
        assert schedule[-1]['type'] == 'PolyLR'
    first, second = dict(leaves(coco)), dict(leaves(shapes))
    missing = object()
    different = {
        name
        for name in first.keys() | second.keys()
        if first.get(name, missing) != second.get(name, missing)
    }
    unexpected = {
        name
        for name in different
        if not name.startswith(('model.backbone.', 'model.clip.'))
        and name.rsplit('.', 1)[-1] not in SIZES | PACE | DATA
    }
    assert unexpected == set()
    assert coco['model']['clip']['type'] == shapes['model']['clip']['type']

    # Colours tell the classes of the shapes world, so they stay.
    kinds = [[step['type'] for step in pipeline] for pipeline in pipelines]
    kinds[0].remove('PhotoMetricDistortion')
    assert kinds[0] == kinds[1]
