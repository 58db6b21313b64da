"""Two processes train as one does."""

import datetime
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from mmengine.config import ConfigDict
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from warm_processes import run_ranks

from freeseg_mm.models.heads import freeseg_head
from freeseg_mm.registry import MODELS

FULL = ([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 3, 0], [3, 3, 3, 0]], [0, 1, 2])
SPARSE = ([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], [3])
NOTHING = ([[0] * 4] * 4, [])

# What each of two ranks gets; one process gets all different images.
SCENES = {
    'same batch on both': [[FULL, SPARSE], [FULL, SPARSE]],
    'one image each': [[FULL], [SPARSE]],
    'one rank without masks': [[FULL], [NOTHING]],
}


def fixed_points():
    """Let matcher and losses look at the same points, whatever the rank."""
    side = (torch.arange(8) + 0.5) / 8
    points = torch.stack(torch.meshgrid(side, side, indexing='ij'), -1)
    points = points.view(1, 64, 2)
    return (
        mock.patch.object(
            torch, 'rand', lambda count, *_, **__: points.expand(count, -1, -1)
        ),
        mock.patch.object(
            freeseg_head,
            'get_uncertain_point_coords_with_randomness',
            lambda logits, *_: points.expand(len(logits), -1, -1),
        ),
    )


def step(model, wrapped, data):
    """One step of plain gradient descent; the weights after it."""
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    matcher, sampler = fixed_points()
    with matcher, sampler:
        wrapped.train_step(data, optimizer)
    return {k: v.clone() for k, v in model.state_dict().items()}


def build(config, weights):
    init_default_scope('mmdet')
    model = MODELS.build(ConfigDict(config))
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.train()


def work(rank, folder, config, data):
    """One of two processes: a step of each scene."""
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/meeting',
        rank=rank,
        world_size=2,
        timeout=datetime.timedelta(minutes=10),
    )
    try:
        results = {}
        for scene, batches in data.items():
            model = build(config, f'{folder}/start.pth')
            wrapped = MMDistributedDataParallel(model)
            results[scene] = step(model, wrapped, batches[rank])
        torch.save(results, f'{folder}/rank{rank}.pth')
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('ranks')


def make_data(scene, make_sample):
    pictures = {
        id(image): torch.randint(
            0,
            256,
            (3, 64, 64),
            dtype=torch.uint8,
            generator=torch.Generator().manual_seed(index),
        )
        for index, image in enumerate((FULL, SPARSE, NOTHING))
    }
    return {
        'inputs': [pictures[id(image)] for image in scene],
        'data_samples': [make_sample(*image) for image in scene],
    }


@pytest.mark.slow
@pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()),
    reason='this PyTorch has no gloo',
)
def test_two_ranks_step_as_one_process(
    build_tiny_model, tiny_model_config, make_sample, folder
):
    # Chance and batch statistics depend on how images are spread.
    tiny_model_config.panoptic_head.context_interaction.dropout = 0.0
    tiny_model_config.backbone.norm_eval = True
    start = build_tiny_model().state_dict()
    torch.save(start, folder / 'start.pth')
    config = tiny_model_config.to_dict()
    data = {
        scene: [make_data(batch, make_sample) for batch in batches]
        for scene, batches in SCENES.items()
    }

    run_ranks(work, str(folder), config, data)

    ranks = [
        torch.load(folder / f'rank{rank}.pth', weights_only=True)
        for rank in (0, 1)
    ]
    for scene, batches in SCENES.items():
        whole = batches[0]
        if batches[1] != whole:
            whole = whole + batches[1]
        model = build(config, folder / 'start.pth')
        expected = step(model, model, make_data(whole, make_sample))
        moved = [
            name
            for name, value in expected.items()
            if not torch.equal(value, start[name])
        ]
        assert len(moved) > 100, scene
        for name, value in expected.items():
            assert torch.equal(ranks[0][scene][name], ranks[1][scene][name])
            torch.testing.assert_close(
                ranks[0][scene][name],
                value,
                rtol=1e-4,
                atol=1e-6,  # sums run in another order
                msg=lambda text, name=name, scene=scene: (
                    f'{scene}: {name}: {text}'
                ),
            )
