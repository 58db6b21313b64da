"""Predictions on flipped and resized copies of an image, joined."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.structures import SampleList
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseTTAModel
from torch import Tensor

from freeseg_mm.models.heads.mask_results import enlarge_masks
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.run_config import find_test_pipeline

from .freeseg import FreeSeg

SCALES = (1.0, 0.75, 1.25)
"""Sizes of the copies, as multiples of the test size."""

_SAME_IOU = 0.5
_FLIPPED_DIMS = {
    'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1),
}  # fmt: skip


@dataclass
class _Pool:
    """Masks of an image for a task, each the mean of those that match it.

    Attributes:
        logits: Sums of mask logits, (M, H, W).
        probs: Sums of class probabilities, (M, C).
        counts: How many views show each, (M,).
    """

    logits: Tensor
    probs: Tensor
    counts: Tensor

    @classmethod
    def empty(cls) -> '_Pool':
        """Pool of no view."""
        return cls(torch.zeros(0), torch.zeros(0), torch.zeros(0))

    def add(self, logits: Tensor, probs: Tensor) -> None:
        """Join masks of a view, each with the one that it matches."""
        ones = torch.ones_like(logits[:, 0, 0])
        if not len(self.counts):
            self.logits, self.probs, self.counts = logits, probs, ones
            return
        mine = ((self.logits / self.counts[:, None, None]) > 0).flatten(1)
        others = (logits > 0).flatten(1)
        inside = mine.float() @ others.float().T
        areas = mine.sum(1)[:, None] + others.sum(1)
        iou = inside / (areas - inside).clamp(min=1)
        if not iou.numel():
            columns = rows = iou.new_zeros(0, dtype=torch.long)
        else:  # pairs of which each is the other's best
            rows = torch.arange(len(iou), device=iou.device)
            best, columns = iou.max(1)
            same = (iou.argmax(0)[columns] == rows) & (best >= _SAME_IOU)
            rows, columns = rows[same], columns[same]
        self.logits[rows] += logits[columns]
        self.probs[rows] += probs[columns]
        self.counts[rows] += 1
        new = torch.ones_like(others[:, 0])
        new[columns] = False
        self.logits = torch.cat([self.logits, logits[new]])
        self.probs = torch.cat([self.probs, probs[new]])
        self.counts = torch.cat([self.counts, ones[new]])


@MODELS.register_module()
class FreeSegTTAModel(BaseTTAModel):
    """A FreeSeg that predicts several views of each image.

    Masks of a view are brought back to the first view's frame and matched
    with those of the views before: two of which each overlaps the other
    best, by an IoU of at least 0.5, are one. What matches is one mask with
    the mean logits; its class probabilities are the mean over all views, 0
    where a view does not show it. All three results are then made as from a
    single view, by the same options. Arguments are ``BaseTTAModel``'s: the
    ``module`` is a FreeSeg or its config.
    """

    module: FreeSeg

    def merge_preds(self, data_samples_list: Any) -> Any:
        """Refuse finished results; see :meth:`test_step`."""
        raise NotImplementedError(
            'masks are joined before results are made: call test_step'
        )

    @torch.no_grad()
    def test_step(self, data: dict[str, list]) -> SampleList:
        """Predict images from their views.

        Args:
            data: ``inputs`` and ``data_samples``, a list over views of
                lists over images each, as ``TestTimeAug`` and
                ``pseudo_collate`` make them. All views of an image have its
                ``ori_shape``; ``flip`` and ``flip_direction`` say what was
                done to one.

        Returns:
            The first view's samples with the results, see
            :meth:`FreeSeg.predict`.

        Raises:
            ValueError: If raw scores are asked for, which belong to a view.
        """
        views = [
            self.module.data_preprocessor(
                {name: values[i] for name, values in data.items()}, False
            )
            for i in range(len(data['inputs']))
        ]
        samples: SampleList = views[0]['data_samples']
        options, vocabulary = self.module.call_of(samples)
        if options.raw:
            raise ValueError(
                'raw=True gives the scores of one view; test without it'
            )
        pools = [[_Pool.empty() for _ in options.tasks] for _ in samples]
        for view in views:
            metas = [sample.metainfo for sample in view['data_samples']]
            scored = self.module.score_masks(
                view['inputs'], metas, vocabulary, options
            )
            for b, meta in enumerate(metas):
                for t, pool in enumerate(pools[b]):
                    probs = scored.class_probs[b, t]
                    logits = scored.mask_logits[b]
                    counts = probs.amax(-1) > 0
                    pool.add(
                        _upright(
                            logits[t if len(logits) > 1 else 0][counts],
                            meta,
                            samples[b].img_shape,
                            options.aligned_corners,
                        ),
                        probs[counts],
                    )
        results = [
            self._results(
                pool, sample.metainfo, len(views), vocabulary, options
            )
            for pool, sample in zip(pools, samples, strict=True)
        ]
        return self.module.add_pred_to_datasample(samples, results)

    def _results(
        self,
        pools: Sequence[_Pool],
        meta: dict,
        num_views: int,
        vocabulary: Vocabulary,
        options: PredictOptions,
    ) -> Any:
        """Results of an image from the pool of each task."""
        most = max(len(pool.probs) for pool in pools)
        size = meta['img_shape'][:2]
        first = pools[0]
        probs = first.probs.new_zeros(1, len(pools), most, len(vocabulary))
        logits = first.logits.new_zeros(1, len(pools), most, *size)
        for t, pool in enumerate(pools):
            count = len(pool.probs)
            probs[0, t, :count] = pool.probs / num_views
            logits[0, t, :count] = pool.logits / pool.counts[:, None, None]
        (result,) = self.module.panoptic_fusion_head.predict(
            probs,
            logits,
            [{**meta, 'batch_input_shape': size}],
            vocabulary,
            options,
        )
        return result


def _upright(
    logits: Tensor, meta: dict, size: Sequence[int], aligned_corners: bool
) -> Tensor:
    """Bring a view's masks to the first view's frame and size.

    Args:
        logits: (n, h, w), of the padded view.
        meta: Of the view.
        size: (H, W) of the first view.
        aligned_corners: See :func:`enlarge_masks`.

    Returns:
        (n, H, W).
    """
    height, width = meta['img_shape'][:2]
    full = enlarge_masks(logits, meta['batch_input_shape'], aligned_corners)
    full = full[:, :height, :width]
    if meta.get('flip'):
        full = full.flip(_FLIPPED_DIMS[meta['flip_direction']])
    return enlarge_masks(full, size[:2])


def use_tta(config: Config) -> None:
    """Change a config to test with views, as ``tools/test.py --tta`` does.

    ``tta_model`` and ``tta_pipeline`` of the config are taken where they
    are. Without a pipeline, the images are resized to each of
    :data:`SCALES` and flipped.

    Args:
        config: Changed in place.

    Raises:
        ValueError: If nothing is tested, or there is no pipeline and that
            of the test does not end in a ``Resize`` and ``PackDetInputs``.
    """
    steps = copy.deepcopy(find_test_pipeline(config))
    pipeline = config.get('tta_pipeline')
    if pipeline is None:
        before, (resize, pack) = steps[:-2], [{}, *steps][-2:]
        kinds = [str(x.get('type')).rpartition('.')[2] for x in (resize, pack)]
        if kinds != ['Resize', 'PackDetInputs'] or 'scale' not in resize:
            raise ValueError(
                'the test pipeline ends in '
                f'{" and ".join(kinds)}, expected Resize with a scale and '
                'PackDetInputs; write the views as tta_pipeline'
            )
        resizes = []
        for factor in SCALES:
            scale = tuple(round(factor * side) for side in resize.scale)
            resizes.append({**resize, 'scale': scale})
        flips = [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)]
        keys = {*pack.meta_keys, 'flip', 'flip_direction'}
        pack.meta_keys = tuple(sorted(keys))
        views = dict(type='TestTimeAug', transforms=[resizes, flips, [pack]])
        pipeline = [*before, views]
    config.test_dataloader.dataset.pipeline = pipeline
    model = config.get('tta_model') or dict(type='freeseg_mm.FreeSegTTAModel')
    config.model = ConfigDict(**model, module=config.model)
