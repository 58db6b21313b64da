"""Networks as one file that runs without this package.

A traced graph holds for images of any size: all that depends on words comes
in as text embeddings, fixed or given, and all that depends on thresholds is
left to :mod:`freeseg_mm.export`.
"""

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Resize
from torch import Tensor, nn

from freeseg_mm.export import (
    ONNX_FILE,
    OPTIONS,
    Network,
    Runtime,
    Spec,
    Words,
)
from freeseg_mm.models.clip import PADDING_LOGIT
from freeseg_mm.models.heads.ensemble import object_probs
from freeseg_mm.models.layers import CosineClassifier, max_over_synonyms
from freeseg_mm.models.predict_options import PredictOptions
from freeseg_mm.models.prompts import beside_text
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.files import make_folder
from freeseg_mm.version import __version__

from .inferencer import FreeSegInferencer
from .inputs import InputImage

FORMATS = ('onnx', 'torchscript')
TORCHSCRIPT_FILE = 'model.pt'
# the first with affine grids
_OPSET = 20
_TRACED_SIZE = (64, 96)


class ExportedGraph(nn.Module):
    """The network on one image, down to what thresholds are put to.

    Args:
        model: The network, on the CPU.
        texts: Text embeddings (T, P, D) by input name: ``text`` of the
            queries and, where CLIP's view has its own, ``clip_text``.
        vocabulary: One class for each of the P names that are scored.
        mode: Of the ensemble; ``query`` leaves CLIP's view out.
        fixed: Whether the embeddings are part of the graph, not inputs.
    """

    def __init__(
        self,
        model: FreeSeg,
        texts: dict[str, Tensor],
        vocabulary: Vocabulary,
        mode: str,
        fixed: bool,
    ) -> None:
        super().__init__()
        self.model = model
        self.vocabulary = vocabulary
        self.fixed = texts if fixed else {}
        self.inputs = ['image', 'image_size', 'shown_over']
        self.inputs += [] if fixed else list(texts)
        self.outputs = ['query_logits', 'mask_logits']
        if mode != 'query':
            self.outputs += ['clip_logits', 'is_shown']

    def forward(
        self,
        image: Tensor,
        image_size: Tensor,
        shown_over: Tensor,
        *texts: Tensor,
    ) -> tuple[Tensor, ...]:
        """Score masks.

        Args:
            image: Normalised and padded, (1, 3, H, W).
            image_size: Its rows and columns that are no padding, (2,) int64.
            shown_over: Object probability from which CLIP sees a mask, (T,).
            texts: The embeddings that are inputs, (T, P, D) each.

        Returns:
            Query logits (T, N, P + 1), mask logits (T or 1, N, h, w) and,
            with CLIP's view, its logits (T, N, P) and which masks it saw,
            (T or 1, N).
        """
        model, head = self.model, self.model.panoptic_head
        given = self.fixed or dict(zip(self.inputs[3:], texts, strict=True))
        text = given['text']
        feats = model.extract_feat(image)
        queries, masks = head.propose(head.pixel_maps(feats), text, False)
        query_feats, mask_logits = queries[-1], masks[-1]
        query_logits = head.cls_embed(query_feats, text, self.vocabulary)
        if len(self.outputs) == 2:
            return query_logits[0], mask_logits[0]
        shown = mask_logits
        assert model.mask_classifier is not None  # the mode asks for it
        if not model.mask_classifier.masks_reach_padding:
            shown = _without_padding(mask_logits, image, image_size)
        is_wanted = object_probs(query_logits) > shown_over[:, None]
        embeds, is_shown = model.encode_masks(
            image, shown, is_wanted, feats[-1]
        )
        text = given.get('clip_text', text)
        cosines = beside_text(embeds, text) @ text.transpose(-1, -2)
        clip_logits = model.clip.logit_scale * max_over_synonyms(
            cosines, self.vocabulary.prompt_to_class
        )
        return query_logits[0], mask_logits[0], clip_logits[0], is_shown[0]


def _without_padding(
    mask_logits: Tensor, image: Tensor, image_size: Tensor
) -> Tensor:
    """As :func:`blank_padding`, of one image whose size is a tensor."""
    for axis in (-2, -1):
        cells, pixels = mask_logits.shape[axis], image.shape[axis]
        count = (image_size[axis] * cells + pixels - 1) // pixels
        is_padding = torch.arange(cells) >= count
        if axis == -2:
            is_padding = is_padding[:, None]
        mask_logits = mask_logits.masked_fill(is_padding, PADDING_LOGIT)
    return mask_logits


def export_network(
    inferencer: FreeSegInferencer,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    format: str = 'onnx',
    text_input: bool = False,
    words_only: bool = False,
) -> None:
    """Write a network and its words to a folder.

    Args:
        inferencer: The network, on the CPU; its options are noted.
        vocabulary: The words.
        folder: Where to; made if it does not exist.
        format: One of :data:`FORMATS`.
        text_input: Whether text embeddings are inputs, so that the words may
            change.
        words_only: Whether to write words for a network that was written
            before with ``text_input``.

    Raises:
        TypeError: If a part of the network has no graph that holds for all
            images.
        ValueError: If an option has none, or the format is unknown.
    """
    if format not in FORMATS:
        raise ValueError(f'format {format!r} is none of {FORMATS}')
    model, options = inferencer.model, inferencer.options
    text_input = text_input or words_only
    _check(model, options, text_input)
    spec = _spec(inferencer, text_input)
    with torch.no_grad():
        texts = model.text_embeds(vocabulary, options)
    is_linear = not isinstance(model.panoptic_head.cls_embed, CosineClassifier)
    scored = vocabulary
    if not is_linear:  # each name for itself; see Words
        names = map(str, range(len(vocabulary.prompts)))
        scored = Vocabulary.from_names(list(names))
    words = Words(
        names=vocabulary.names,
        is_thing=vocabulary.is_thing,
        is_seen=model.panoptic_head.cls_embed.is_seen(vocabulary),
        prompt_to_class=tuple(range(len(vocabulary)))
        if is_linear
        else tuple(vocabulary.prompt_to_class),
        texts={k: x.numpy() for k, x in texts.items()} if text_input else {},
    )
    make_folder(folder)
    words.save(folder)
    if words_only:
        return
    spec.save(folder)
    graph = ExportedGraph(model, texts, scored, options.mode, not text_input)
    is_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operator, unknown
    try:
        _write(graph.eval(), len(options.tasks), texts, folder, format)
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)


def _write(
    graph: ExportedGraph,
    num_tasks: int,
    texts: dict[str, Tensor],
    folder: Path,
    format: str,
) -> None:
    inputs = (
        torch.randn(1, 3, *_TRACED_SIZE),
        torch.tensor(_TRACED_SIZE),
        torch.full((num_tasks,), -1.0),
        *(texts[name] for name in graph.inputs[3:]),
    )
    with torch.no_grad(), warnings.catch_warnings():
        # of sizes that a trace takes for constants; tests hold that none is
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        warnings.simplefilter('ignore', DeprecationWarning)
        warnings.simplefilter('ignore', UserWarning)
        if format == 'torchscript':
            traced = torch.jit.trace(graph, inputs, check_trace=False)
            torch.jit.save(traced, str(folder / TORCHSCRIPT_FILE))
            return
        axes = {
            'image': {2: 'height', 3: 'width'},
            'mask_logits': {2: 'rows', 3: 'columns'},
            **{name: {1: 'prompts'} for name in texts},
        }
        if texts.keys() & set(graph.inputs):
            axes['query_logits'] = {2: 'prompts and no object'}
            axes['clip_logits'] = {2: 'prompts'}
        torch.onnx.export(
            graph,
            inputs,
            str(folder / ONNX_FILE),
            dynamo=False,  # which would fix sizes that depend on masks
            opset_version=_OPSET,
            input_names=graph.inputs,
            output_names=graph.outputs,
            dynamic_axes={
                name: axis
                for name, axis in axes.items()
                if name in (*graph.inputs, *graph.outputs)
            },
        )


def _check(model: FreeSeg, options: PredictOptions, text_input: bool) -> None:
    """Refuse what has no graph, in one sentence each."""
    classifier = model.mask_classifier
    if options.mode != 'query':
        assert classifier is not None  # the mode asks for it
        problem = classifier.graph_problem(model.clip)
        if problem:
            raise TypeError(
                f'{type(classifier).__name__} cannot be exported: {problem}; '
                'without it the network can, by --cfg-options '
                'model.test_cfg.ensemble.mode=query'
            )
    for name, value in (
        ('mode', options.mode),
        ('panoptic_rule', options.panoptic_rule),
        ('instance_ranking', options.instance_ranking),
    ):
        if value == 'released':
            raise ValueError(
                f'{name}={value!r} cannot be exported; choose another'
            )
    unknown = [
        name
        for name in ('score_thr', 'object_score_thr', 'pixel_score_thr')
        if isinstance(getattr(options, name), Mapping)
    ]
    if options.pixel_score_thr:
        unknown.append('pixel_score_thr')
    if options.negatives is not None:
        unknown.append('negatives')
    if unknown:
        raise ValueError(
            'an exported network has one threshold for all classes and '
            f'knows no pixel_score_thr and negatives; leave out {unknown}'
        )
    if options.resized != 'masks' or options.aligned_corners:
        raise ValueError(
            'cannot be exported: resized='
            f'{options.resized!r}, aligned_corners={options.aligned_corners};'
            " expected 'masks' and False"
        )
    if options.tuner is not None:
        raise ValueError(
            'prompt tuning needs gradients, which an exported network does '
            'not have; leave it out'
        )
    if model.acceleration.precision != 'float32' or model.acceleration.compile:
        raise ValueError(
            'export a network in float32, not compiled; set '
            'model.acceleration.precision=float32 and compile=False'
        )
    if text_input and not isinstance(
        model.panoptic_head.cls_embed, CosineClassifier
    ):
        raise TypeError(
            'closed_vocabulary: its classifier knows fixed classes and reads '
            'no text; export it without --text-input'
        )


def _spec(inferencer: FreeSegInferencer, text_input: bool) -> Spec:
    """Describe what brings an image to the network, and its options.

    Raises:
        ValueError: If the test pipeline does more than resize.
    """
    model, options = inferencer.model, inferencer.options
    steps = inferencer.pipeline.transforms[1:-1]
    (resize,) = steps if len(steps) == 1 else (None,)
    if (
        not isinstance(resize, Resize)
        or resize.scale is None
        or resize.interpolation != 'bilinear'
    ):
        raise ValueError(
            'expected a test pipeline of LoadImageFromFile, Resize to a '
            'scale, bilinearly, and PackDetInputs, got '
            f'{[type(x).__name__ for x in inferencer.pipeline.transforms]}'
        )
    preprocessor = model.data_preprocessor
    names = ['text'] if model.clip_prompt is None else ['text', 'clip_text']
    if options.mode == 'query':
        names = names[:1]
    return Spec(
        tasks=tuple(task.value for task in options.tasks),
        text_inputs=tuple(names) if text_input else (),
        scale=resize.scale,
        keep_ratio=resize.keep_ratio,
        backend=resize.backend,
        mean=tuple(preprocessor.mean.flatten().tolist()),
        std=tuple(preprocessor.std.flatten().tolist()),
        to_rgb=preprocessor._channel_conversion,
        divisor=preprocessor.pad_size_divisor,
        options={name: getattr(options, name) for name in OPTIONS},
        version=__version__,
    )


# --- comparison --------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """An image predicted by PyTorch and by an exported network.

    Attributes:
        source: The image.
        pixels: Least share of equal pixels of a map or mask, in [0, 1].
        scores: Largest difference of the scores of objects; of one that
            only one side has, its score.
        objects: Objects and segments of PyTorch.
        seconds: Of PyTorch and of the exported network.
    """

    source: str
    pixels: float
    scores: float
    objects: int
    seconds: tuple[float, float]


def compare_networks(
    inferencer: FreeSegInferencer,
    runtime: Runtime,
    vocabulary: Vocabulary,
    images: Iterable[InputImage],
) -> Iterator[Comparison]:
    """Predict images both ways; the first one twice, which warms both up."""
    for number, image in enumerate(images):
        for _ in range(1 if number else 2):
            start = time.perf_counter()
            (result,) = inferencer(image.pixels, vocabulary)
            between = time.perf_counter()
            exported = runtime(image.pixels)
            end = time.perf_counter()
        ours = result.to_numpy()
        pixels, scores, objects = [1.0], [0.0], 0
        if 'label_map' in ours:
            same = ours['label_map'] == exported['label_map']
            pixels.append(float(same.mean()))
        for kind in ('mask', 'segment'):
            if f'{kind}_scores' in ours:
                objects += len(ours[f'{kind}_scores'])
                for a, b in ((ours, exported), (exported, ours)):
                    for share, difference in _agreement(kind, a, b):
                        pixels.append(share)
                        scores.append(difference)
        yield Comparison(
            image.source,
            min(pixels),
            max(scores),
            objects,
            (between - start, end - between),
        )


def _agreement(
    kind: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> Iterator[tuple[float, float]]:
    """Share of equal pixels and difference of scores of each object.

    It is compared with the object of its class that shares most with it; one
    without has all pixels equal, and its score for the difference.
    """

    def mask_of(arrays: Mapping[str, Any], index: int) -> np.ndarray:
        if kind == 'mask':
            return np.asarray(arrays['masks'][index])
        return np.equal(arrays['segment_map'], arrays['segment_ids'][index])

    for index, label in enumerate(ours[f'{kind}_labels']):
        mask, score = mask_of(ours, index), ours[f'{kind}_scores'][index]
        best = (-1.0, 1.0, -float(score))
        for other in np.flatnonzero(theirs[f'{kind}_labels'] == label):
            found = mask_of(theirs, int(other))
            overlap = (mask & found).sum() / max((mask | found).sum(), 1)
            difference = abs(score - theirs[f'{kind}_scores'][other])
            share = float((mask == found).mean())
            # of equal masks the one with the nearest score
            best = max(best, (float(overlap), share, -float(difference)))
        yield best[1], -best[2]


def torchscript_network(path: Path) -> Network:
    """Load a network into PyTorch, for :class:`Runtime`."""
    graph = torch.jit.load(str(path), map_location='cpu').eval()
    names = ('query_logits', 'mask_logits', 'clip_logits', 'is_shown')

    @torch.no_grad()
    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = graph(*map(torch.from_numpy, inputs.values()))
        found = [x.numpy() for x in outputs]
        return dict(zip(names[: len(found)], found, strict=True))

    return run
