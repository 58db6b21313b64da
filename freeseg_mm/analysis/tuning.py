"""A FreeSeg whose prompt tuning is looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmdet.structures import SampleList
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from freeseg_mm.engine.checkpoint import WeightsInfo
from freeseg_mm.evaluation.ground_truth import read_semantic_gt
from freeseg_mm.models import FreeSeg
from freeseg_mm.models.heads.freeseg_fusion_head import full_resolution
from freeseg_mm.models.prompt_tuning import (
    query_entropy,
    unseen_log_scores,
    which_are_confident,
)
from freeseg_mm.models.segmentors.batch import Proposals
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Vocabulary

NOTHING = -1


@dataclass
class TuningEffect:
    """Confident queries (Sec. 3.4) before and after tuning.

    What a query says is its best class of all; what its mask shows is the
    class of most labelled pixels below it.

    Attributes:
        queries: How many there are.
        right: Of these, how many say before tuning what their mask shows.
        on_seen: How many lie on a seen class, so that they are wrong.
        on_other_unseen: How many lie on another unseen class.
        on_nothing: How many lie on pixels without any label.
        turned: How many say another class after tuning.
        turned_right: Of these, how many are right after it.
        turned_wrong: How many were right before it.
        entropy_before: Sum of their entropies (Eq. 10) before tuning.
        entropy_after: The same after it.
    """

    queries: int = 0
    right: int = 0
    on_seen: int = 0
    on_other_unseen: int = 0
    on_nothing: int = 0
    turned: int = 0
    turned_right: int = 0
    turned_wrong: int = 0
    entropy_before: float = 0.0
    entropy_after: float = 0.0

    def add(
        self,
        before: Tensor,
        after: Tensor,
        shown: Tensor,
        is_seen: Tensor,
        columns: str,
    ) -> None:
        """Count queries.

        Args:
            before: Their class logits before tuning, (K, C + 1).
            after: The same after it.
            shown: What their masks show, (K,) in [0, C) or ``NOTHING``.
            is_seen: Per class, (C,), bool.
            columns: See :func:`unseen_log_scores`.
        """
        num_classes = len(is_seen)
        says = before[:, :num_classes].argmax(-1)
        says_now = after[:, :num_classes].argmax(-1)
        turned = says != says_now
        nothing = shown == NOTHING
        right = says == shown
        on_seen = ~nothing & is_seen[shown.clamp(min=0)]
        self.queries += len(shown)
        self.right += int(right.sum())
        self.on_nothing += int(nothing.sum())
        self.on_seen += int((on_seen & ~right).sum())
        self.on_other_unseen += int((~on_seen & ~nothing & ~right).sum())
        self.turned += int(turned.sum())
        self.turned_right += int((turned & (says_now == shown)).sum())
        self.turned_wrong += int((turned & right).sum())
        unseen = (~is_seen).nonzero()[:, 0]

        def entropy(logits: Tensor) -> float:
            log_scores = unseen_log_scores(logits, unseen, columns)
            return float(query_entropy(log_scores).sum())

        self.entropy_before += entropy(before)
        self.entropy_after += entropy(after)

    def lines(self) -> list[str]:
        """What to print."""
        count = self.queries
        lines = [f'confident queries: {count}']
        if not count:
            return lines

        def share(number: int) -> str:
            return f'{number} ({100 * number / count:.1f} %)'

        return [
            *lines,
            f'  name the class that their mask shows: {share(self.right)}',
            f'  lie on a seen class: {share(self.on_seen)}',
            f'  lie on another unseen class: {share(self.on_other_unseen)}',
            f'  lie on pixels without a label: {share(self.on_nothing)}',
            f'tuning makes {share(self.turned)} say another class: '
            f'{self.turned_right} turn right, {self.turned_wrong} were right',
            f'mean entropy: {self.entropy_before / count:.4f} before, '
            f'{self.entropy_after / count:.4f} after',
        ]


def shown_classes(
    mask_logits: Tensor, meta: Mapping[str, Any], num_classes: int
) -> Tensor:
    """Class of most labelled pixels below each mask.

    Args:
        mask_logits: (K, h, w), of the padded image.
        meta: Of a test sample: sizes, and where its truth is; see
            :func:`read_semantic_gt`.
        num_classes: C.

    Returns:
        (K,) int64 in [0, C); ``NOTHING`` below an empty mask or where no
        pixel has a label.

    Raises:
        FileNotFoundError: See :func:`read_semantic_gt`.
        ValueError: See :func:`read_semantic_gt`.
    """
    device = mask_logits.device
    gt = torch.from_numpy(read_semantic_gt(meta, num_classes)).to(device)
    shown = []
    for logits in mask_logits:  # one at its full size at a time
        mask = full_resolution(logits[None], dict(meta), rescale=True)[0] > 0
        below = gt[mask]
        counts = torch.bincount(below[below >= 0], minlength=num_classes)
        shown.append(torch.where(counts.any(), counts.argmax(), NOTHING))
    if not shown:
        return torch.zeros(0, dtype=torch.int64, device=device)
    return torch.stack(shown)


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
                found = replace(found, is_relevant=right)
        return super()._tune(batch_inputs, found, text, vocabulary)

    def _reclassify(
        self,
        pixel_maps: list[Tensor],
        found: Proposals,
        text: Tensor,
        vocabulary: Vocabulary,
        metas: Sequence[dict],
    ) -> Proposals:
        again = super()._reclassify(pixel_maps, found, text, vocabulary, metas)
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
        chosen = found.is_relevant & which_are_confident(
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


__all__ = [
    'ObservedFreeSeg',
    'TuningEffect',
    'observe_tuning',
    'shown_classes',
]
