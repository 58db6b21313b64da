"""All scores behind the results of an image, for who asks for them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from freeseg_mm.models.heads.freeseg_fusion_head import full_resolution
from freeseg_mm.models.heads.mask_results import enlarge_masks
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.errors import require_whole


@dataclass(frozen=True, eq=False)
class RawPrediction:
    """Scores of one image for one task, as the network computed them.

    N masks, C classes (negatives last), D the width of CLIP's joint space.

    Attributes:
        names: Of the C classes.
        mask_probs: Probability of each pixel of each mask at stride 4 of
            the network's input, padding cut off, (N, h, w), float32.
        query_probs: The query's view, (N, C + 1), float32; the last is no
            object.
        clip_probs: CLIP's view, (N, C), float32, 0 of masks that were not
            shown to it; ``None`` in mode ``query``.
        class_probs: Both together, (N, C), float32, of which results are
            made: 0 of masks that can have no part in one; what is missing to
            1 is no object.
        mask_embeds: CLIP's unit-norm embedding of each mask, (N, D),
            float32, 0 of masks that were not shown; ``None`` in mode
            ``query``.
        is_shown: Masks that were shown to CLIP, (N,), bool.
        pixel_scores: Of the semantic task: sum over the masks of class times
            mask probability, (C, H, W), float32, at the size of the result
            before it is enlarged (4 C H W bytes); else ``None``.
    """

    names: tuple[str, ...]
    mask_probs: np.ndarray
    query_probs: np.ndarray
    clip_probs: np.ndarray | None
    class_probs: np.ndarray
    mask_embeds: np.ndarray | None
    is_shown: np.ndarray
    pixel_scores: np.ndarray | None

    @property
    def pixel_probs(self) -> np.ndarray | None:
        """Probability of each class at each pixel, (C, H, W), float32.

        Scores, divided by their sum where that is over 1; what is missing to
        1 is nothing.
        """
        if self.pixel_scores is None:
            return None
        return self.pixel_scores / np.maximum(self.pixel_scores.sum(0), 1)

    def tags(self, top: int = 10) -> dict[str, float]:
        """Words that are in the image.

        Args:
            top: How many.

        Returns:
            Names of the best classes, each with the class probability of
            its best mask, best first.

        Raises:
            ValueError: If ``top`` is not positive.
        """
        require_whole('top', top, 1)
        best = self.class_probs.max(0, initial=0.0)
        order = np.argsort(-best, kind='stable')[:top]
        return {self.names[i]: float(best[i]) for i in order}


@dataclass(frozen=True)
class ScoredMasks:
    """Masks of a batch and their scores, on the device.

    Attributes:
        mask_logits: (B, T or 1, N, h, w).
        query_logits: (B, T, N, C + 1).
        clip_logits: (B, T, N, C), or ``None``.
        class_probs: (B, T, N, C).
        embeds: (B, T or 1, N, D), or ``None``.
        is_shown: (B, T or 1, N), bool, or ``None``.
    """

    mask_logits: Tensor
    query_logits: Tensor
    clip_logits: Tensor | None
    class_probs: Tensor
    embeds: Tensor | None
    is_shown: Tensor | None

    def raw(
        self,
        metas: Sequence[dict],
        vocabulary: Vocabulary,
        options: PredictOptions,
        rescale: bool,
    ) -> list[dict[Task, RawPrediction]]:
        """Copy the scores of each image and task to the CPU.

        Args:
            metas: ``batch_input_shape``, ``img_shape`` and ``ori_shape``.
            vocabulary: The C classes.
            options: Tasks, and how masks are enlarged.
            rescale: See :meth:`FreeSegFusionHead.predict`.
        """
        return [
            {
                task: self._of(b, t, task, meta, vocabulary, options, rescale)
                for t, task in enumerate(options.tasks)
            }
            for b, meta in enumerate(metas)
        ]

    def _of(
        self,
        b: int,
        t: int,
        task: Task,
        meta: dict,
        vocabulary: Vocabulary,
        options: PredictOptions,
        rescale: bool,
    ) -> RawPrediction:
        def of_image(values: Tensor) -> Tensor:
            return values[b, t if values.shape[1] > 1 else 0]

        logits, probs = of_image(self.mask_logits), self.class_probs[b, t]
        height, width = (
            -(
                -meta['img_shape'][i]
                * logits.shape[1 + i]
                // meta['batch_input_shape'][i]
            )
            for i in (0, 1)
        )
        shown = probs.new_zeros(len(probs), dtype=torch.bool)
        clip_probs = embeds = pixel_scores = None
        if self.embeds is not None and self.is_shown is not None:
            shown = of_image(self.is_shown)
            embeds = _array(of_image(self.embeds) * shown[:, None])
        if self.clip_logits is not None:
            clip = self.clip_logits[b, t].softmax(-1)
            clip_probs = _array(clip * shown[:, None])
        if task is Task.SEMANTIC:
            masks = full_resolution(
                logits,
                meta,
                rescale and options.resized == 'masks',
                options.aligned_corners,
            ).sigmoid()
            scores = torch.einsum('nc,nhw->chw', probs, masks)
            if rescale:
                scores = enlarge_masks(scores, meta['ori_shape'][:2])
            pixel_scores = _array(scores)
        return RawPrediction(
            names=vocabulary.names,
            mask_probs=_array(logits[:, :height, :width].sigmoid()),
            query_probs=_array(self.query_logits[b, t].softmax(-1)),
            clip_probs=clip_probs,
            class_probs=_array(probs),
            mask_embeds=embeds,
            is_shown=shown.cpu().numpy(),
            pixel_scores=pixel_scores,
        )


def _array(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()
