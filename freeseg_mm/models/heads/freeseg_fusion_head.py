"""From classified masks to the three results of an image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from mmdet.models.seg_heads.panoptic_fusion_heads import (
    BasePanopticFusionHead,
)
from mmdet.utils import OptConfigType, OptMultiConfig
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from freeseg_mm.models.predict_options import (
    CLASS_THRESHOLDS,
    PredictOptions,
)
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task, Vocabulary, void_label
from freeseg_mm.utils.masks import mask_boxes

from .mask_results import (
    Instances,
    Least,
    PanopticSegments,
    best_instances,
    enlarge_masks,
    id_offset,
    of_classes,
    panoptic_segments,
    released_instances,
    released_panoptic,
    resize_results,
    semantic_labels,
)


def fetch(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copy small tensors to the CPU in a single transfer.

    Args:
        tensors: Of any shapes, on one device; bool, integers below 2^53 or
            floats.

    Returns:
        The same values on the CPU, float64.
    """
    if not tensors:
        return []
    flat = torch.cat([x.double().flatten() for x in tensors]).cpu()
    parts = flat.split([x.numel() for x in tensors])
    return [part.view(x.shape) for part, x in zip(parts, tensors, strict=True)]


@dataclass(frozen=True)
class Classes:
    """Properties of the C classes that results depend on.

    Attributes:
        num_reported: How many are reported; those behind are negatives.
        is_thing: (C,), bool.
        least: By option, a threshold for all or for each, (C,).
    """

    num_reported: int
    is_thing: Tensor
    least: Mapping[str, Least]

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        options: PredictOptions,
        device: torch.device,
    ) -> 'Classes':
        """Read them of a vocabulary, negatives included, and options.

        Raises:
            ValueError: See :meth:`PredictOptions.least`.
        """
        least: dict[str, Least] = {}
        for name in CLASS_THRESHOLDS:
            value = getattr(options, name)
            if isinstance(value, Mapping):
                each = options.least(name, vocabulary)
                value = torch.tensor(each, device=device)
            least[name] = value
        is_thing = torch.tensor(
            vocabulary.is_thing, dtype=torch.bool, device=device
        )
        num_negatives = len(options.negatives or ())
        return cls(len(vocabulary) - num_negatives, is_thing, least)


Result: TypeAlias = PixelData | InstanceData
OnDevice: TypeAlias = Tensor | Instances | PanopticSegments


@MODELS.register_module()
class FreeSegFusionHead(BasePanopticFusionHead):
    """Mask classification's standard post-processing, for any vocabulary.

    Thing and stuff come from the vocabulary, not from the order of classes.
    The host waits for the device twice a batch: for how many masks are
    worth enlarging, and for how many instances and segments there are.

    Args:
        test_cfg: Not used: options come with a call. mmdet passes it to
            every head.
        init_cfg: See mmengine's ``BaseModule``.
    """

    def __init__(
        self,
        *,
        test_cfg: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(
            num_things_classes=0,
            num_stuff_classes=0,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )

    def is_relevant(
        self, object_probs: Tensor, options: PredictOptions
    ) -> Tensor:
        """Mark masks that can have a part in a result, whatever their class.

        By definition none whose probability of being an object, o, is not
        over ``min_object_prob``. Nor, for the panoptic result, one with o
        not over the least ``object_score_thr`` of a class: the class
        probabilities of a mask sum to o, so the largest is at most o, and
        the panoptic result begins by dropping masks whose largest is not
        over that threshold. By the
        ``no_object`` rule it drops those, too, whose largest is not over
        1 - o. What CLIP may yet add to o by ``clip_trust`` is reckoned in.
        In mode ``released`` class probabilities may exceed o, so that this
        leaves ``min_object_prob`` alone.

        Args:
            object_probs: (B, T, N).
            options: With the T tasks.

        Returns:
            (B, T, N), bool.
        """
        if options.mode == 'released':
            return object_probs > options.min_object_prob
        needs_half = options.panoptic_rule == 'no_object'
        least = [
            max(
                options.min_object_prob,
                _least_object(task, options),
                0.5 if needs_half and task is Task.PANOPTIC else 0.0,
            )
            for task in options.tasks
        ]
        most = object_probs + options.clip_trust * (1 - object_probs)
        return most > most.new_tensor(least)[:, None]

    def predict(
        self,
        class_probs: Tensor,
        mask_logits: Tensor,
        batch_img_metas: Sequence[dict],
        vocabulary: Vocabulary,
        options: PredictOptions,
        rescale: bool = True,
    ) -> list[dict[Task, Result]]:
        """Build each image's result of each task.

        Args:
            class_probs: Class probabilities, (B, T, N, C).
            mask_logits: At stride 4 of the padded batch, (B, T or 1, N, h,
                w).
            batch_img_metas: ``batch_input_shape``, ``img_shape``,
                ``ori_shape`` of each image, (H, W).
            vocabulary: The C classes; the last ones are the negatives of
                ``options``, if there are any.
            options: Tasks and thresholds.
            rescale: Whether results have the size of the original image
                rather than of the network's input.

        Returns:
            One result per task and image: of the semantic task ``sem_seg``
            (and mmseg's ``data``), class indices, (1, H, W); of the
            instance task ``masks`` (n, H, W) bool, ``labels``, ``scores``
            and ``bboxes`` xyxy in pixels of the result, best first; of the
            panoptic task ``sem_seg``, ids of mmdet's form ``label + offset
            * k``, (1, H, W), the number of classes where there is no
            segment, and ``segments_info`` with ``id``, ``label``, ``score``
            of each.
        """
        classes = Classes.of(vocabulary, options, class_probs.device)
        tasks = options.tasks
        probs_of = [
            _of_task(task, probs, classes, options)
            for task, probs in zip(tasks, class_probs.unbind(1), strict=True)
        ]
        chosen = _survivors(probs_of, classes, options)
        on_device = []
        for b, meta in enumerate(batch_img_metas):
            size = meta['ori_shape' if rescale else 'img_shape'][:2]
            masks = _enlarged(
                mask_logits[b], chosen[b], meta, rescale, options
            )
            for t, task in enumerate(tasks):
                result = _result(
                    task,
                    probs_of[t][b, chosen[b][t]],
                    next(masks),
                    classes,
                    options,
                    size,
                )
                on_device.append(_without_negatives(result, classes))
        known = fetch([_known(result) for result in on_device])
        results = iter(map(_to_data, on_device, known))
        return [{task: next(results) for task in tasks} for _ in class_probs]

    def loss(self) -> dict[str, Tensor]:
        """Nothing here is trained; mmdet's base class wants the method."""
        return {}


def _least_object(task: Task, options: PredictOptions) -> float:
    """Probability that the best class of any mask has to exceed."""
    if task is not Task.PANOPTIC or _is_released(task, options):
        return 0.0
    least = options.object_score_thr
    return min(least.values()) if isinstance(least, Mapping) else least


def _is_released(task: Task, options: PredictOptions) -> bool:
    """Tell whether a task's result follows the rule of the authors' code."""
    return {
        Task.INSTANCE: options.instance_ranking,
        Task.PANOPTIC: options.panoptic_rule,
    }.get(task) == 'released'


def _of_task(
    task: Task, probs: Tensor, classes: Classes, options: PredictOptions
) -> Tensor:
    """Class probabilities that a task's result is made of.

    No instance comes of a mask whose best class is a negative. Instances are
    of things, too: but by the released rules, which look at all classes, all
    other pairs of mask and class are nought, and by the ranking
    ``all_classes`` those behind the first ``max_per_image``.

    Args:
        task: The task.
        probs: Class probabilities, (B, N, C).
        classes: The C classes.
        options: With the rules.

    Returns:
        (B, N, C).
    """
    if task is not Task.INSTANCE:
        return probs
    is_reported = probs.argmax(-1, keepdim=True) < classes.num_reported
    probs = probs * is_reported
    if _is_released(task, options):
        return probs
    if options.instance_ranking == 'all_classes':
        pairs = probs.flatten(1)
        count = min(options.max_per_image, pairs.shape[1])
        best = pairs.topk(count)
        probs = (
            torch.zeros_like(pairs)
            .scatter(1, best.indices, best.values)
            .view_as(probs)
        )
    return probs * classes.is_thing


def _survivors(
    probs_of: Sequence[Tensor], classes: Classes, options: PredictOptions
) -> list[list[Tensor]]:
    """Queries that have any part in a result, by image and task.

    Args:
        probs_of: Class probabilities of each task, (B, N, C).
        classes: The C classes.
        options: With the T tasks.

    Returns:
        Their numbers, on the CPU, int64: those with the best class
        probability first, by released rules in the queries' order.
    """
    best = torch.stack(
        [
            _best_probs(task, probs, classes, options)
            for task, probs in zip(options.tasks, probs_of, strict=True)
        ],
        dim=1,
    )
    best, order = best.sort(dim=-1, descending=True, stable=True)
    order, counts = fetch([order, (best > 0).sum(-1)])
    chosen = [
        [row[: int(count)].long() for row, count in zip(*both, strict=True)]
        for both in zip(order, counts, strict=True)
    ]
    return [
        [
            numbers.sort().values if _is_released(task, options) else numbers
            for task, numbers in zip(options.tasks, tasks, strict=True)
        ]
        for tasks in chosen
    ]


def _enlarged(
    mask_logits: Tensor,
    chosen: list[Tensor],
    meta: dict,
    rescale: bool,
    options: PredictOptions,
) -> Iterator[Tensor]:
    """Masks of each task at the size of results, shared ones enlarged once.

    Args:
        mask_logits: Of an image, (T or 1, N, h, w).
        chosen: Numbers of the queries of each of T tasks.
        meta: See :func:`full_resolution`.
        rescale: See :meth:`FreeSegFusionHead.predict`.
        options: How masks are enlarged.

    Yields:
        (n, H, W) of each task.
    """

    def enlarge(logits: Tensor) -> Tensor:
        return full_resolution(
            logits,
            meta,
            rescale and options.resized == 'masks',
            options.aligned_corners,
        )

    if len(mask_logits) == len(chosen):
        for logits, numbers in zip(mask_logits, chosen, strict=True):
            yield enlarge(logits[numbers])
        return
    wanted, places = torch.cat(chosen).unique(return_inverse=True)
    masks = enlarge(mask_logits[0, wanted])
    for part in places.split([len(numbers) for numbers in chosen]):
        yield masks[part]


def _best_probs(
    task: Task, probs: Tensor, classes: Classes, options: PredictOptions
) -> Tensor:
    """Best class probability of queries, 0 of those without any part.

    Args:
        task: The task.
        probs: Class probabilities, (B, N, C).
        classes: The C classes.
        options: With the rules.

    Returns:
        (B, N).
    """
    best, labels = probs.max(-1)
    matters = best > 0
    if task is Task.PANOPTIC and not _is_released(task, options):
        matters = best > of_classes(classes.least['object_score_thr'], labels)
    if task is Task.PANOPTIC and options.panoptic_rule == 'no_object':
        matters &= best > 1 - probs.sum(-1)
    return best * matters


def _result(
    task: Task,
    probs: Tensor,
    masks: Tensor,
    classes: Classes,
    options: PredictOptions,
    size: Sequence[int],
) -> OnDevice:
    """One task's result of one image, at the result's size."""
    is_thing, least = classes.is_thing, classes.least
    pixel = least['pixel_score_thr']
    if task is Task.SEMANTIC:
        return semantic_labels(probs, masks, size, pixel)
    result: OnDevice
    if _is_released(task, options):
        rule = (probs, masks, is_thing, least['object_score_thr'])
        if task is Task.INSTANCE:
            result = released_instances(
                *rule, options.overlap_thr, least['score_thr'], pixel
            )
        else:
            result = released_panoptic(*rule, options.overlap_thr, pixel)
    elif task is Task.INSTANCE:
        result = best_instances(
            probs, masks, options.max_per_image, least['score_thr']
        )
    else:
        result = panoptic_segments(
            probs,
            masks,
            is_thing,
            options.overlap_thr,
            options.overlap_pixels,
            pixel,
        )
    if tuple(masks.shape[-2:]) == tuple(size):
        return result
    return resize_results(result, size)


def _without_negatives(result: OnDevice, classes: Classes) -> OnDevice:
    """A result whose negatives are void; no instance is of one."""
    number, total = classes.num_reported, len(classes.is_thing)
    if number == total or isinstance(result, Instances):
        return result
    if isinstance(result, PanopticSegments):
        labels = result.sem_seg % id_offset(total)
        return replace(
            result,
            sem_seg=result.sem_seg.where(labels < number, number),
            begins=result.begins & (result.labels < number),
        )
    return result.where(result < number, void_label(number))


def _known(result: OnDevice) -> Tensor:
    """Values that the host has to know of a result; a small tensor."""
    if isinstance(result, Instances):
        return (result.scores > 0).sum()
    if isinstance(result, PanopticSegments):
        return torch.stack(
            [
                x.double()
                for x in (
                    result.begins,
                    result.ids,
                    result.labels,
                    result.scores,
                )
            ],
            dim=1,
        )
    return result.new_zeros(0)


def _to_data(result: OnDevice, known: Tensor) -> Result:
    """Wrap a result as mmdet does."""
    if isinstance(result, Instances):
        count = int(known)
        masks = result.masks[:count]
        return InstanceData(
            bboxes=mask_boxes(masks).float(),
            labels=result.labels[:count],
            scores=result.scores[:count],
            masks=masks,
        )
    if isinstance(result, PanopticSegments):
        segments = [
            {'id': int(id_), 'label': int(label), 'score': score}
            for begins, id_, label, score in known.tolist()
            if begins
        ]
        return PixelData(
            metainfo={'segments_info': segments}, sem_seg=result.sem_seg
        )
    return PixelData(sem_seg=result, data=result)


def full_resolution(
    logits: Tensor, meta: dict, rescale: bool, aligned_corners: bool = False
) -> Tensor:
    """Upsample mask logits, cut the padding, go to the original's size.

    Args:
        logits: (n, h, w), of the padded image.
        meta: ``batch_input_shape``, ``img_shape``, ``ori_shape``.
        rescale: Whether to go on to the original image's size.
        aligned_corners: See :func:`enlarge_masks`, of the first step.

    Returns:
        (n, H, W), float32.
    """
    height, width = meta['img_shape'][:2]
    size = tuple(meta['ori_shape'][:2]) if rescale else (height, width)
    if len(logits) == 0:
        return logits.new_zeros((0, *size), dtype=torch.float32)
    full = enlarge_masks(
        logits.float(), meta['batch_input_shape'], aligned_corners
    )
    return enlarge_masks(full[:, :height, :width], size)
