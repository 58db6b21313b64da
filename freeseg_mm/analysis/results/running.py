"""One test of a checkpoint for all that is analysed."""

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from freeseg_mm.evaluation.results import write_results
from freeseg_mm.structures import Vocabulary

from .collecting import CollectHook, Collector


def run_test(
    config: Config,
    checkpoint: Path,
    out: Path,
    *,
    config_path: str,
    options: Mapping[str, Any],
    num_worst: int,
    score_thr: float,
) -> Collector:
    """Test as ``tools/test.py`` does and collect every prediction.

    Args:
        config: The config, with its options applied; it is changed.
        checkpoint: The weights.
        out: Folder that gets ``results.json``, as ``tools/test.py --out``
            writes it, and mmengine's log under ``run``.
        config_path: File that the config was read from.
        options: Entries of the config that the command line changed.
        num_worst: See :class:`Collector`.
        score_thr: See :class:`Collector`.

    Raises:
        FileNotFoundError: If the checkpoint or a file of the dataset does
            not exist.
        ValueError: If weights, data or predictions are unusable.
    """
    if not checkpoint.is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint}')
    config.load_from, config.resume = str(checkpoint), False
    config.work_dir = str(out / 'run')
    config.launcher = 'none'
    config.log_level = 'WARNING'
    # it imports models, which reading logs and results does without
    from freeseg_mm.engine.checkpoint import WeightsInfo

    info = WeightsInfo.read(checkpoint)
    # pycocotools talks about each of its steps
    with redirect_stdout(io.StringIO()):
        runner = Runner.from_cfg(config)
        info.check(runner.model)
        dataset = runner.test_loop.dataloader.dataset
        collector = Collector(
            Vocabulary.from_dict(dataset.metainfo['vocabulary']),
            num_worst=num_worst,
            score_thr=score_thr,
        )
        runner.register_hook(CollectHook(collector))
        metrics = runner.test()
    write_results(
        out / 'results.json',
        metrics,
        runner.test_loop.evaluator.metrics,
        dataset.metainfo,
        config_path=config_path,
        checkpoint=str(checkpoint),
        test_cfg=config.model.test_cfg,
        options=options,
        images=len(dataset),
    )
    return collector
