"""A FreeSeg whose prompt tuning is looked at."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmdet.structures import SampleList
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from freeseg_mm.apis.weights import WeightsInfo
from freeseg_mm.models import FreeSeg
from freeseg_mm.models.prompt_tuning import which_are_confident
from freeseg_mm.models.segmentors.proposals import Proposals
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Vocabulary

from .effect import TuningEffect, shown_classes


@MODELS.register_module()
class ObservedFreeSeg(FreeSeg):
    """Counts what tuning does to confident queries; answers are the same.

    Args:
        only_right: Whether to tune on those alone that name what their mask
            shows. No one has that knowledge: it is a bound of what a better
            choice of queries could be worth.
        **kwargs: Of :class:`FreeSeg`; ``test_cfg.prompt_tuning`` has at
            least a step and the source ``query``.

    Attributes:
        effect: The counts so far.

    Raises:
        ValueError: If there is nothing to look at, or queries have another
            source than their own scores.
    """

    def __init__(self, *, only_right: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.prompt_tuner is None:
            raise ValueError(
                'nothing is tuned; set model.test_cfg.prompt_tuning.steps=1'
            )
        if self.prompt_tuner.settings.source != 'query':
            raise ValueError(
                "expected model.test_cfg.prompt_tuning.source='query', got "
                f'{self.prompt_tuner.settings.source!r}: queries are looked '
                'at by their own scores'
            )
        self.only_right = only_right
        self.effect = TuningEffect()
        # of the batch at hand: confident queries and what they show
        self._metas: Sequence[dict] = ()
        self._chosen = torch.zeros(0, dtype=torch.bool)
        self._shown = torch.zeros(0, dtype=torch.int64)

    def predict(
        self,
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        rescale: bool = True,
    ) -> SampleList:
        """Answer as :meth:`FreeSeg.predict` does; samples need the truth."""
        self._metas = [sample.metainfo for sample in batch_data_samples]
        return super().predict(batch_inputs, batch_data_samples, rescale)

    def _tune(
        self,
        batch_inputs: Tensor,
        found: Proposals,
        text: Tensor,
        vocabulary: Vocabulary,
    ) -> Tensor | None:
        if not all(vocabulary.is_seen):  # else there is nothing to tune
            self._chosen, self._shown = self._look(found, vocabulary)
            if self.only_right:
                says = found.query_logits[..., : len(vocabulary)].argmax(-1)
                right = self._chosen.clone()
                right[self._chosen] = says[self._chosen] == self._shown
                found = replace(found, matters=right)
        return super()._tune(batch_inputs, found, text, vocabulary)

    def _ask_again(
        self,
        pixel_maps: list[Tensor],
        found: Proposals,
        text: Tensor,
        vocabulary: Vocabulary,
        metas: Sequence[dict],
    ) -> Proposals:
        again = super()._ask_again(pixel_maps, found, text, vocabulary, metas)
        assert self.prompt_tuner is not None
        self.effect.add(
            found.query_logits[self._chosen],
            again.query_logits[self._chosen],
            self._shown,
            torch.tensor(vocabulary.is_seen, device=self._shown.device),
            self.prompt_tuner.settings.columns,
        )
        return again

    def _look(
        self, found: Proposals, vocabulary: Vocabulary
    ) -> tuple[Tensor, Tensor]:
        """Confident queries, (B, T, N), bool, and what they show, (K,)."""
        assert self.prompt_tuner is not None
        unseen = [i for i, seen in enumerate(vocabulary.is_seen) if not seen]
        logits = found.query_logits
        chosen = found.matters & which_are_confident(
            logits,
            torch.tensor(unseen, device=logits.device),
            len(vocabulary),
            self.prompt_tuner.settings,
        )
        masks = found.mask_logits.expand(*chosen.shape, -1, -1)
        shown = [
            shown_classes(image_masks[image_chosen], meta, len(vocabulary))
            for image_masks, image_chosen, meta in zip(
                masks, chosen, self._metas, strict=True
            )
        ]
        return chosen, torch.cat(shown)


def observe_tuning(
    config: Config, checkpoint: Path, work_dir: Path, *, only_right: bool
) -> TuningEffect:
    """Test as ``tools/test.py`` does, with tuning, and look at its effect.

    Args:
        config: The config, with its options applied; it is changed. Where
            it does not tune, it does with one step.
        checkpoint: The weights.
        work_dir: Folder of mmengine's log, which has the metrics.
        only_right: See :class:`ObservedFreeSeg`.

    Returns:
        Counts of the batches that were tuned.

    Raises:
        FileNotFoundError: If the checkpoint or a file of the data set does
            not exist.
        ValueError: If weights or data are unusable, or queries have another
            source than their own scores.
    """
    if not checkpoint.is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint}')
    tuning = config.model.test_cfg.setdefault('prompt_tuning', {})
    tuning.steps = tuning.get('steps') or 1
    config.model.update(type='freeseg_mm.ObservedFreeSeg')
    config.model.only_right = only_right
    config.load_from, config.resume = str(checkpoint), False
    config.work_dir, config.launcher = str(work_dir), 'none'
    info = WeightsInfo.read(checkpoint)
    runner = Runner.from_cfg(config)
    info.check(runner.model)
    runner.test()
    return runner.model.effect
