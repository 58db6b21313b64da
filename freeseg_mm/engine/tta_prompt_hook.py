"""Test-time prompt tuning in a run's tests alone (Sec. 3.4)."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.registry import HOOKS

from .compatibility_hook import model_of


@HOOKS.register_module()
class TTAPromptHook(Hook):
    """Tune prompts in a run's tests, and log what was tuned.

    :class:`PromptTuner` works on a copy of the prompts, and the options with
    it travel with the samples of the test, so that nothing on the model
    changes, whether a batch is predicted or raises.
    ``model.test_cfg.prompt_tuning`` tunes wherever the model predicts, also
    in validation; this hook leaves validation as it is.

    Args:
        settings: Arguments of :class:`PromptTuning`; what they leave open is
            as in ``model.test_cfg.prompt_tuning``, and at least one step.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings = dict(settings or {})
        self._options: PredictOptions | None = None

    def before_test(self, runner: Runner) -> None:
        """Make the options of this test.

        Raises:
            TypeError: See :meth:`FreeSeg.check_options`.
            ValueError: See :meth:`FreeSeg.check_options`.
        """
        model = model_of(runner)
        self._options = model.predict_options.override(
            prompt_tuning=self.settings
        )
        model.check_options(self._options)

    def before_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Hand the options to the samples of a batch."""
        for sample in data_batch['data_samples']:
            # as data: metainfo would be copied, and the tuner remembers
            sample.set_field(self._options, 'predict_options')

    def after_test(self, runner: Runner) -> None:
        """Log what was tuned, in all processes together."""
        options, self._options = self._options, None
        if options is None or options.tuner is None:
            return
        counts = options.tuner.counts
        total = torch.tensor([counts.batches, counts.tuned, counts.queries])
        all_reduce(total)
        batches, tuned, queries = total.tolist()
        runner.logger.info(
            f'prompt tuning: {tuned} of {batches} batches had confident '
            f'queries of unseen classes, {queries} in all'
        )
