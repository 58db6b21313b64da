"""One network, judged by the scores of queries, of CLIP and of both."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from mmengine.runner import TestLoop
from tqdm import tqdm

from freeseg_mm.models.segmentors import FreeSeg


@contextmanager
def ensemble_mode(model: FreeSeg, mode: str) -> Iterator[None]:
    """Let a model combine query and CLIP scores in another way for a while.

    Args:
        model: The model.
        mode: One of the modes of ``ensemble_scores``.
    """
    ensemble = model.test_cfg.ensemble
    usual, ensemble.mode = ensemble.mode, mode
    try:
        yield
    finally:
        ensemble.mode = usual


@torch.no_grad()
def score_modes(
    model: FreeSeg, loop: TestLoop, modes: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Test a loaded model once for each of several ensemble modes.

    Args:
        model: The model, on the device to test on.
        loop: Data and metrics of the test.
        modes: Mode by the name of its results.

    Returns:
        The metrics of each mode, by name, percent.
    """
    model.eval()
    results = {}
    for name, mode in modes.items():
        with ensemble_mode(model, mode):
            for batch in tqdm(loop.dataloader, desc=name, unit='batch'):
                samples = model.test_step(batch)
                loop.evaluator.process(data_samples=samples, data_batch=batch)
        num_images = len(loop.dataloader.dataset)
        results[name] = loop.evaluator.evaluate(num_images)
    return results
