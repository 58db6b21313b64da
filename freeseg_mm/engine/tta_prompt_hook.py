"""Test-time prompt tuning in a run's tests alone (Sec. 3.4)."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from freeseg_mm.models.prompt_tuning import PromptTuner
from freeseg_mm.registry import HOOKS

from .compatibility_hook import model_of


@HOOKS.register_module()
class TTAPromptHook(Hook):
    """Switch prompt tuning on for a run's tests, and say what it did.

    :meth:`FreeSeg.predict` does the tuning, on a copy of the prompts. So
    there is nothing to put back after a batch, whether it was answered or
    raised. ``model.test_cfg.prompt_tuning`` tunes wherever the model
    predicts, also in validation; this hook leaves validation as it is.

    Args:
        settings: Arguments of :class:`PromptTuning`; ``None`` takes its
            defaults.
    """

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self.settings = settings or {}
        self._usual: PromptTuner | None = None
        self._is_on = False

    def before_test(self, runner: Runner) -> None:
        """Switch tuning on.

        Raises:
            TypeError: See :meth:`FreeSeg.tune_prompts`.
            ValueError: See :meth:`FreeSeg.tune_prompts`.
        """
        self._put_back(runner)
        model = model_of(runner)
        usual = model.prompt_tuner
        model.tune_prompts(self.settings)
        self._usual = usual
        self._is_on = True

    def before_train(self, runner: Runner) -> None:
        """Put the model's own setting back if a test has raised."""
        self._put_back(runner)

    def before_val(self, runner: Runner) -> None:
        """Put the model's own setting back if a test has raised."""
        self._put_back(runner)

    def after_test(self, runner: Runner) -> None:
        """Put the model's own setting back and log what was tuned."""
        tuner = model_of(runner).prompt_tuner
        self._put_back(runner)
        if tuner is None:
            return
        counts = tuner.counts
        total = torch.tensor([counts.batches, counts.tuned, counts.queries])
        all_reduce(total)
        batches, tuned, queries = total.tolist()
        runner.logger.info(
            f'prompt tuning: {tuned} of {batches} batches had confident '
            f'queries of unseen classes, {queries} in all'
        )

    def _put_back(self, runner: Runner) -> None:
        if self._is_on:
            model_of(runner).prompt_tuner = self._usual
        self._is_on, self._usual = False, None
