"""Every config loads, and its model runs once it is made small."""

import json
from itertools import combinations
from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task

SIDE = 64  # of the images of `run_once`
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
RUNS = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    # the zoo's are of other systems: tests/test_zoo
    if not {'_base_', 'zoo'} & set(path.relative_to(CONFIGS).parts)
)
# The families a run is put together from.
FAMILIES = {
    'model': 'models/*.py',
    'dataset': 'datasets/*.py',
    'schedule': 'schedules/*.py',
    'runtime': 'default_runtime.py',
    'self-training': 'self_training.py',
    'size': 'large.py',
}
RESULT_FIELDS = {
    Task.SEMANTIC: 'pred_sem_seg',
    Task.INSTANCE: 'pred_instances',
    Task.PANOPTIC: 'pred_panoptic_seg',
}


@pytest.fixture(scope='module')
def made():
    return {}


@pytest.fixture
def build_small(made, load_run, small_model):
    """Build the small model of a config; equal models are built once."""

    def build(name):
        model = small_model(load_run(name))
        key = json.dumps(model, sort_keys=True, default=str)
        if key not in made:
            made[key] = MODELS.build(model), {}
        return made[key]

    return build


def test_runs_are_found():
    assert {'freeseg/coco.py', 'freeseg/shapes.py'} <= set(RUNS)
    assert len(RUNS) > 50


@pytest.mark.parametrize('name', RUNS)
def test_config_loads(name, load_run):
    config = load_run(name)
    assert config.model.type == 'freeseg_mm.FreeSeg'
    assert config.default_scope == 'mmdet'
    assert {'freeseg_mm.CompatibilityHook', 'freeseg_mm.ExactResumeHook'} <= {
        hook.type for hook in config.custom_hooks
    }
    # all but full supervision trains on seen classes alone
    split = 'all' if 'full_sup' in name else 'seen'
    assert config.train_dataloader.dataset.split == split
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
def test_every_metric_has_its_task_and_every_task_its_metric(name, load_run):
    metrics = {
        Task.SEMANTIC: 'freeseg_mm.OpenVocabSemMetric',
        Task.INSTANCE: 'freeseg_mm.OpenVocabInsMetric',
        Task.PANOPTIC: 'freeseg_mm.OpenVocabPanMetric',
    }
    if name == 'transfer/lvis.py':
        metrics[Task.INSTANCE] = 'freeseg_mm.OpenVocabLvisMetric'
    config = load_run(name)
    tasks = Task.parse_many(config.model.test_cfg.tasks)
    for evaluator in (config.val_evaluator, config.test_evaluator):
        assert [metric.type for metric in evaluator] == [
            metrics[task] for task in tasks
        ]


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
def test_small_model_trains_a_step_and_answers(
    name, load_run, build_small, build_dataset, run_once
):
    config = load_run(name)
    train, test = (
        build_dataset(loader).sample_vocabulary
        for loader in (config.train_dataloader, config.test_dataloader)
    )
    model, known = build_small(name)
    key = train.content_hash, test.content_hash
    if key not in known:
        known[key] = run_once(model, test, train)
        learned = [p for p in model.parameters() if p.requires_grad]
        before = [parameter.detach().clone() for parameter in learned]
        wrapper = build_optim_wrapper(
            model, {**config.optim_wrapper, 'accumulative_counts': 1}
        )
        model.train()  # what is made again has to be made alike
        wrapper.update_params(sum(known[key][0].values()))
        assert all(torch.isfinite(parameter).all() for parameter in learned)
        assert not all(map(torch.equal, learned, before))
    losses, result = known[key]
    assert all(torch.isfinite(loss) for loss in losses.values())
    expected = {RESULT_FIELDS[task] for task in model.predict_options.tasks}
    found = {name for name in RESULT_FIELDS.values() if name in result}
    assert found == expected
    for field in expected - {'pred_instances'}:
        assert getattr(result, field).sem_seg.shape == (1, SIDE, SIDE)
    if 'pred_sem_seg' in expected:
        assert result.pred_sem_seg.sem_seg.max() < len(test)
    if 'pred_instances' in expected:
        assert result.pred_instances.masks.shape[1:] == (SIDE, SIDE)


def test_stock_mask2former_fits_the_untrained_clip_run(load_run):
    """Name by name and shape by shape, its linear classifier, too."""
    folder = Path(mmdet.__file__).parent / '.mim' / 'configs' / 'mask2former'
    if not folder.is_dir():
        pytest.skip(f'mmdet was installed without its configs: no {folder}')
    stock = Config.fromfile(
        folder / 'mask2former_r101_8xb2-lsj-50e_coco-panoptic.py'
    ).model
    ours = load_run('freeseg/coco_clip.py').model
    ours.panoptic_head.update(embed_dim=512, logit_scale=100.0)
    shapes = []
    for model in (stock, ours):
        parts = model.backbone, model.panoptic_head
        shapes.append({})
        for part in parts:
            with torch.device('meta'):
                built = MODELS.build(part)
            shapes[-1] |= {k: v.shape for k, v in built.state_dict().items()}
    first, second = shapes
    assert len(first) > 900
    assert first == second


def test_convolutional_network_builds_at_full_size(load_run):
    config = load_run('freeseg/coco_convclip.py').model
    config.clip.pretrained = 'random'
    model = MODELS.build(config).eval()

    with torch.no_grad():
        maps = model.extract_feat(torch.zeros(1, 3, 64, 64))

    assert [x.shape[1] for x in maps] == config.panoptic_head.in_channels
    held, learned = (
        sum(parameter.numel() for parameter in part.parameters())
        for part in (model.clip.clip, model)
    )
    assert held > 3.5e8
    assert learned < 3e7
    assert not any('clip' in name for name in model.state_dict())


@pytest.mark.parametrize('name', RUNS)
def test_optimizer_rules_match_parameters(name, load_run, build_small):
    config = load_run(name)
    model, _ = build_small(name)
    wrapper = config.optim_wrapper
    names = [key for key, value in model.named_parameters()]
    rules = wrapper.paramwise_cfg.custom_keys
    fixed = {
        part
        for part in ('prompt_learner', 'backbone')
        if next(getattr(model, part).parameters(), None) is None
    }
    for rule in rules:
        if rule not in fixed:
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


# What may differ between the shapes run and that on COCO, by the last part of
# an entry's name: sizes, and how long and how fast a small run trains.
SIZES = {
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
# Queries of a short training name less than CLIP does.
PACE |= {'seen_weight', 'unseen_weight', 'fused'}
DATA = {'ann_file', 'data_root', 'img', 'seg', 'sem', 'vocabulary'}
# Variables that config files share; what they set is compared.
SHARED = {'channels', 'short_sides', 'test_size', 'train_pipeline'}
SHARED |= {'test_pipeline', 'batch_augments'}


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


def test_shapes_run_is_the_coco_run_in_small(load_run, small_sizes):
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
        and name.rsplit('.', 1)[-1] not in SIZES | PACE | DATA | small_sizes
    }
    # the demo's CLIP reads a sentence, see configs/freeseg/shapes.py
    reading = {name for name in unexpected if 'model.clip_prompt' in name}
    assert unexpected - reading == {'model.mask_classifier.mask_thr'}
    assert coco['model']['clip_prompt'] is None
    assert coco['fixed_view'] == shapes['model']['clip_prompt']
    assert coco['model']['clip']['type'] == shapes['model']['clip']['type']

    # Colours tell the classes of the shapes world, so they stay.
    kinds = [[step['type'] for step in pipeline] for pipeline in pipelines]
    kinds[0].remove('PhotoMetricDistortion')
    assert kinds[0] == kinds[1]
