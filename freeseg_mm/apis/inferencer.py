"""Images and class names in, masks out, from Python."""

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import Tensor
from tqdm import tqdm

from freeseg_mm.engine.checkpoint import (
    WeightsInfo,
    build_model,
    state_digest,
)
from freeseg_mm.models.predict_options import (
    ClassExample,
    PredictOptions,
    PredictOverrides,
    TuningChoice,
)
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.models.segmentors.batch import given_mask_logits
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.errors import require_whole
from freeseg_mm.utils.journal import json_digest
from freeseg_mm.utils.masks import fitting
from freeseg_mm.utils.names import shown
from freeseg_mm.utils.parallel import ordered_map
from freeseg_mm.utils.run_config import apply_options, find_test_pipeline

from .inputs import (
    Images,
    InputImage,
    Masks,
    OneImage,
    check_channel_order,
    list_images,
    read_image,
    read_masks,
)
from .model_names import fetching_hint, find_config, model_names
from .results import (
    ClassifiedMask,
    ImageError,
    ImageResult,
    InferenceError,
    image_result,
)
from .tiling import TileMerger, Tiling
from .video import count_inputs, is_video, pending_images
from .vocabulary import Classes, ImageClass, listed, read_classes

if TYPE_CHECKING:
    from typing_extensions import Unpack

PackedImage: TypeAlias = tuple[InputImage, dict[str, Any]]
RANDOM = 'random'
SCORE_THR = 0.3
"""Least score of an instance unless a call says another."""
MASKS_AT_ONCE = 64
"""Masks that :meth:`FreeSegInferencer.classify` holds at the input's size."""


class FreeSegInferencer:
    """A trained FreeSeg that predicts any classes, image by image.

    Classes and options belong to a call and leave nothing behind; a list of
    class names costs its text once. Threads may share an inferencer: they
    read images at the same time and take turns at the network.

    Args:
        model: A config file or object, a checkpoint (``.pth``), or a short
            name; see :meth:`model_names`.
        checkpoint: The weights, unless ``model`` says them; ``random`` for
            none, to try things out.
        device: As ``cpu`` or ``cuda:0``; default CUDA if there is one.
        cfg_options: Config entries to change, by dotted key.
        max_side: Results of an image with a longer side are computed at
            this one and then enlarged, which a note of the result says. The
            network sees the same; memory and time grow with the pixels of
            the results. ``None`` for no limit.
        progress: Whether several images show a progress bar; default on a
            terminal.
        prompt_tuning: Test-time prompt tuning of calls that do not say it
            themselves, see :meth:`stream`; default as in the config.

    Attributes:
        model: The network.
        options: Options of calls that give none.
        pipeline: From an image in memory to an input of the network.
        trained_on: Vocabulary of the training, if the weights say it.

    Raises:
        FileNotFoundError: If there is no such config, checkpoint or name.
        KeyError: If an entry of ``cfg_options`` could have no effect.
        TypeError: If ``prompt_tuning`` has an unknown setting, or the model
            has no prompt to tune.
        ValueError: If there are no weights, they do not fit the config,
            there is no such device, ``max_side`` is not positive, or a
            setting of ``prompt_tuning`` is out of range.
    """

    def __init__(
        self,
        model: str | Path | Config,
        checkpoint: str | Path | None = None,
        *,
        device: str | None = None,
        cfg_options: Mapping[str, Any] | None = None,
        max_side: int | None = 2048,
        progress: bool | None = None,
        prompt_tuning: TuningChoice | None = None,
    ) -> None:
        if max_side is not None:
            require_whole('max_side', max_side, 1)
        is_random = checkpoint == RANDOM
        config, weights = find_config(model, None if is_random else checkpoint)
        config = deepcopy(config)
        if cfg_options:
            apply_options(config, cfg_options)
        if not isinstance(config.get('model'), dict):
            raise ValueError(
                'expected a config with a model, got model='
                f'{shown(config.get("model"))}'
            )
        if weights is None and not is_random:
            raise ValueError(
                f'no weights for {model}: give a checkpoint, as work_dirs/'
                f"NAME/iter_1500.pth, or '{RANDOM}' for random ones"
                + fetching_hint(model)
            )
        # refused before the weights are read
        options = PredictOptions.from_config(
            config.model.get('test_cfg') or {}
        ).override(score_thr=SCORE_THR, prompt_tuning=prompt_tuning)
        info = WeightsInfo.read(weights) if weights and not is_random else None
        self.trained_on = info.vocabulary if info else None
        self.model: FreeSeg = build_model(config, info, device)
        self.device = next(self.model.parameters()).device
        self.model.check_options(options)
        self.options = options
        self.pipeline = _pipeline(config)
        self._config_digest = json_digest(
            [config.model, find_test_pipeline(config)]
        )
        self._max_side = max_side
        self._progress = progress
        self._turn = threading.Lock()

    def subject(
        self,
        classes: Classes,
        *,
        things: Iterable[str] | None = None,
        unseen: Iterable[str] | None = None,
        **options: 'Unpack[PredictOverrides]',
    ) -> dict[str, Any]:
        """All but the images that decides results, as JSON's types.

        Calls of equal subjects predict the same. Reads all weights.

        Args:
            classes: See :meth:`stream`, as all others.
            things: The same.
            unseen: The same.
            **options: The same.
        """
        chosen = self._choose(options)
        vocabulary = self.vocabulary(classes, things, unseen, chosen)
        return {
            'classes': vocabulary.content_hash,
            'model': self._config_digest,
            'weights': state_digest(self.model.state_dict()),
            'clip': self.model.clip.fingerprint,
            'max_side': self._max_side,
            'options': repr(chosen),
        }

    def _choose(self, options: PredictOverrides) -> PredictOptions:
        """Options of a call, checked against the model."""
        negatives = options.get('negatives')
        if negatives:
            words = read_classes(negatives, trained_on=self.trained_on)
            options = {**options, 'negatives': words}
        chosen = self.options.override(**options)
        self.model.check_options(chosen)
        return chosen

    @staticmethod
    def model_names() -> list[str]:
        """Short names that a checkout understands."""
        return model_names()

    def vocabulary(
        self,
        classes: Classes,
        things: Iterable[str] | None = None,
        unseen: Iterable[str] | None = None,
        options: PredictOptions | None = None,
    ) -> Vocabulary:
        """Vocabulary that a call with these arguments predicts.

        Args:
            classes: See :func:`freeseg_mm.apis.vocabulary.read_classes`.
            things: The same.
            unseen: The same; by default what the weights were not trained
                on.
            options: Of the call; default :attr:`options`.

        Raises:
            ValueError: Also if CLIP cannot read a name, or options do not
                fit the classes.
        """
        vocabulary = read_classes(
            classes, things=things, unseen=unseen, trained_on=self.trained_on
        )
        options = options or self.options
        self.model.check_vocabulary(options.competing(vocabulary), options)
        return vocabulary

    def __call__(
        self,
        images: Images,
        classes: Classes,
        *,
        things: Iterable[str] | None = None,
        unseen: Iterable[str] | None = None,
        batch_size: int = 1,
        frame_stride: int = 1,
        channel_order: str = 'bgr',
        tile: int | None = None,
        overlap: float = 0.2,
        num_workers: int = 0,
        **options: 'Unpack[PredictOverrides]',
    ) -> list[ImageResult]:
        """Predict images; arguments are those of :meth:`stream`.

        Of a video all results are kept, each with its frame: for more than
        some seconds of it take :meth:`stream`.

        Returns:
            One result an image or frame, in order.

        Raises:
            InferenceError: If an image could not be read, after all others
                were predicted; it holds their results.
        """
        outcomes = list(
            self.stream(
                images,
                classes,
                things=things,
                unseen=unseen,
                batch_size=batch_size,
                frame_stride=frame_stride,
                channel_order=channel_order,
                tile=tile,
                overlap=overlap,
                num_workers=num_workers,
                **options,
            )
        )
        results = [x for x in outcomes if isinstance(x, ImageResult)]
        errors = [x for x in outcomes if isinstance(x, ImageError)]
        if errors:
            raise InferenceError(errors, results)
        return results

    def stream(
        self,
        images: Images,
        classes: Classes,
        *,
        things: Iterable[str] | None = None,
        unseen: Iterable[str] | None = None,
        batch_size: int = 1,
        frame_stride: int = 1,
        channel_order: str = 'bgr',
        tile: int | None = None,
        overlap: float = 0.2,
        num_workers: int = 0,
        skip: int = 0,
        **options: 'Unpack[PredictOverrides]',
    ) -> Iterator[ImageResult | ImageError]:
        """Predict images one after the other, holding few at a time.

        Args:
            images: See :func:`freeseg_mm.apis.inputs.list_images`. The
                frames of a video are images.
            classes: See :func:`freeseg_mm.apis.vocabulary.read_classes`, as
                the two next.
            things: Names that are countable.
            unseen: Names that training had no labels of.
            batch_size: Images that pass the network together. Images of
                different sizes are padded to a common one, which may move
                results a little.
            frame_stride: Of a video every so many frames are predicted, from
                frame 0; an image always is.
            channel_order: Of images that are arrays, those of an
                :class:`ImageClass` too, ``bgr`` or ``rgb``.
                Results hold their image as RGB.
            tile: A larger image is predicted in tiles of this longest side
                in pixels, each like an image, so that small things are seen
                and memory is that of a tile; ``max_side`` has no effect
                then. What crosses tiles is joined, see
                :class:`freeseg_mm.apis.tiling.TileMerger`.
            overlap: Least share of its side that a tile has in common with
                the next, in [0, 0.5].
            num_workers: Threads that read images ahead of the network, a
                batch and an image each; 0 reads a batch when its turn comes.
            skip: Number of first images and frames to leave out, which an
                earlier call predicted. Of a multiple of ``batch_size`` all
                others are as without.
            **options: Of this call: ``tasks``, ``score_thr`` (default 0.3),
                ``object_score_thr``, ``pixel_score_thr``, each also by
                class, ``overlap_thr``, ``min_object_prob``,
                ``max_per_image``, ``mode``, ``seen_weight``,
                ``unseen_weight``, ``negatives`` (words as of ``classes``
                that compete and are not reported), ``templates`` (sentences
                in which names are read), ``raw`` (results with all scores
                behind them; see :class:`PredictOptions`) and
                ``prompt_tuning``, which tunes the prompt on each batch, so
                that queries become more certain which unseen class they show
                (Sec. 3.4): ``True`` or ``False``, a number of steps, or
                settings as of :class:`PromptTuning`.

        Returns:
            An iterator over a result or an error an image, in order. All
            arguments are checked before it is returned, the images when
            their turn comes.

        Raises:
            FileNotFoundError: If a file, folder or vocabulary is missing.
            TypeError: If images, names or ``prompt_tuning`` are of a wrong
                type, or there is no such option.
            ValueError: If there are no images or names, a name, task or
                number is unusable.
        """
        for name, number, least in (
            ('batch_size', batch_size, 1),
            ('frame_stride', frame_stride, 1),
            ('num_workers', num_workers, 0),
            ('skip', skip, 0),
        ):
            require_whole(name, number, least)
        check_channel_order(channel_order)
        chosen = self._choose(options)
        tiling = None if tile is None else Tiling(tile, overlap)
        if tiling is not None and chosen.raw:
            raise ValueError(
                'raw=True gives the scores of one pass of the network; leave '
                'tile out, or give it parts of the image'
            )
        entries = list_images(images)
        classes = listed(classes)
        vocabulary = self.vocabulary(classes, things, unseen, chosen)
        examples = self._examples(classes, vocabulary, channel_order)
        if examples and chosen.mode == 'query':
            raise ValueError(
                f'{examples[0].name!r} is shown by images, which mode query, '
                "without CLIP's view, has no use for; choose another mode"
            )
        chosen = replace(chosen, examples=examples)
        pack = partial(
            self._pack, vocabulary=vocabulary, max_side=self._max_side
        )
        ahead = partial(
            ordered_map,
            items=islice(
                pending_images(entries, frame_stride, channel_order),
                skip,
                None,
            ),
            threads=num_workers,
            ahead=batch_size + num_workers,
        )
        if tiling is None:
            packed = ahead(lambda read: pack(read()))
            outcomes = self._outcomes(packed, batch_size, vocabulary, chosen)
        else:
            outcomes = self._tiled(
                ahead(lambda read: read()),
                *(tiling, batch_size, vocabulary, chosen),
            )
        return self._with_progress(outcomes, entries, frame_stride, skip)

    @torch.no_grad()
    def classify(
        self,
        image: OneImage,
        masks: Masks,
        classes: Classes,
        *,
        task: str = 'panoptic',
        templates: str | Iterable[str] | None = None,
        channel_order: str = 'bgr',
    ) -> list[ClassifiedMask]:
        """Name masks from elsewhere by CLIP and the prompts.

        Masks are shown to CLIP as the network's own are, by the model's mask
        classifier; the queries' view has no part in it, nor has no object:
        one of the classes it is.

        Args:
            image: Of :func:`freeseg_mm.apis.inputs.read_image`.
            masks: See :func:`freeseg_mm.apis.inputs.read_masks`; of the
                image upright.
            classes: See :func:`freeseg_mm.apis.vocabulary.read_classes`.
            task: The task whose prompts are read, where they differ.
            templates: See :class:`PredictOptions`.
            channel_order: Of images that are arrays, ``bgr`` or ``rgb``.

        Returns:
            One a mask, in order.

        Raises:
            FileNotFoundError: If there is no such image or vocabulary.
            TypeError: If image, masks or classes are of a wrong type.
            ValueError: If one of them is unusable, the task is unknown or
                the model has no ``mask_classifier``.
        """
        check_channel_order(channel_order)
        self.require_clip('naming masks')
        chosen = self.options.override(tasks=task, templates=templates)
        if len(chosen.tasks) > 1:
            raise ValueError(f'expected one task, got {task!r}')
        self.model.check_options(chosen)
        classes = listed(classes)
        vocabulary = self.vocabulary(classes, options=chosen)
        examples = self._examples(classes, vocabulary, channel_order)
        chosen = replace(chosen, examples=examples)
        read = read_image(image, 0, channel_order)
        planes = read_masks(masks, read.pixels.shape[:2])
        embeds, valid = self._embed_masks(read, planes, vocabulary)
        with self._turn:
            logits = self.model.clip_view(embeds, valid, vocabulary, chosen)
        probs = logits[0, 0].float().softmax(-1).cpu().numpy()
        return [
            ClassifiedMask(
                label, vocabulary.names[label], float(row[label]), row
            )
            for label, row in zip(probs.argmax(1).tolist(), probs, strict=True)
        ]

    def _embed_masks(
        self, image: InputImage, masks: np.ndarray, vocabulary: Vocabulary
    ) -> tuple[Tensor, Tensor]:
        """CLIP's embeddings of masks (N, H, W) of an image.

        Returns:
            (1, 1, N, D), and which are of any use, (1, 1, N), bool.

        Raises:
            ValueError: If the image defies the pipeline.
        """
        packed = self._pack(image, vocabulary, self._max_side)
        if isinstance(packed, ImageError):
            raise ValueError(packed.reason)
        model = self.model
        with self._turn:
            batch = model.data_preprocessor(pseudo_collate([packed[1]]), False)
            metas = [sample.metainfo for sample in batch['data_samples']]
            found = [
                model.encode_masks(
                    batch['inputs'],
                    model.masks_to_show(
                        given_mask_logits(part, metas[0]), metas, self.options
                    ),
                )
                for part in torch.from_numpy(masks)
                .to(self.device)
                .split(MASKS_AT_ONCE)
            ]
        embeds, valid = zip(*found, strict=True)
        return torch.cat(embeds, dim=2), torch.cat(valid, dim=2)

    @torch.no_grad()
    def _examples(
        self, classes: Classes, vocabulary: Vocabulary, channel_order: str
    ) -> tuple[ClassExample, ...]:
        """CLIP's embeddings of the classes that are shown by images."""
        if isinstance(classes, Vocabulary | str | Path):
            return ()
        examples = []
        for name, each in zip(vocabulary.names, classes, strict=True):
            if not isinstance(each, ImageClass):
                continue
            self.require_clip('a class that is shown by images')
            embeds = []
            for index, image in enumerate(each.images):
                read = read_image(image, index, channel_order)
                whole = np.ones((1, *read.pixels.shape[:2]), bool)
                embeds.append(self._embed_masks(read, whole, vocabulary)[0])
            mean = F.normalize(torch.cat(embeds).mean(0).flatten(), dim=0)
            examples.append(ClassExample(name, mean, each.text_weight))
        return tuple(examples)

    def require_clip(self, what: str) -> None:
        """Refuse what CLIP's view of masks is needed for.

        Raises:
            ValueError: If the model has no ``mask_classifier``.
        """
        if self.model.mask_classifier is None:
            raise ValueError(
                f'{what} needs a mask_classifier, and this model has none; '
                'set model.mask_classifier'
            )

    def _with_progress(
        self,
        outcomes: Iterator[ImageResult | ImageError],
        entries: Sequence[OneImage],
        frame_stride: int,
        skip: int,
    ) -> Iterator[ImageResult | ImageError]:
        shown = self._progress
        if shown is None:
            shown = sys.stderr.isatty()
        if not shown or (len(entries) == 1 and not is_video(entries[0])):
            return outcomes
        total = count_inputs(entries, frame_stride)
        return iter(tqdm(outcomes, total=total, initial=skip, unit='image'))

    def _outcomes(
        self,
        inputs: Iterator[PackedImage | ImageError],
        batch_size: int,
        vocabulary: Vocabulary,
        options: PredictOptions,
    ) -> Iterator[ImageResult | ImageError]:
        while packed := list(islice(inputs, batch_size)):
            ready = [x for x in packed if not isinstance(x, ImageError)]
            results = iter(self._predict(ready, vocabulary, options))
            for image in packed:
                if isinstance(image, ImageError):
                    yield image
                else:
                    yield next(results)

    def _tiled(
        self,
        inputs: Iterator[InputImage | ImageError],
        tiling: Tiling,
        batch_size: int,
        vocabulary: Vocabulary,
        options: PredictOptions,
    ) -> Iterator[ImageResult | ImageError]:
        """Predict images tile by tile; one bad tile fails its image."""
        for image in inputs:
            if isinstance(image, ImageError):
                yield image
                continue
            merger = TileMerger(tiling, image, vocabulary)
            del image  # it may be large, and the merger has it as RGB
            pack = partial(self._pack, vocabulary=vocabulary, max_side=None)
            results = self._outcomes(
                map(pack, merger.parts()), batch_size, vocabulary, options
            )
            failed = None
            for result in results:
                if isinstance(result, ImageError):
                    failed = result
                    break
                merger.add(result)
            yield failed or merger.finish()

    def _pack(
        self,
        image: InputImage | ImageError,
        vocabulary: Vocabulary,
        max_side: int | None,
    ) -> PackedImage | ImageError:
        """Bring an image to the network's size, unless it defies that."""
        if isinstance(image, ImageError):
            return image
        try:
            packed = self.pipeline({'img': image.pixels, 'img_id': 0})
        # transforms, and OpenCV in them, raise what they like
        except Exception as error:
            reason = str(error).partition('\n')[0] or type(error).__name__
            height, width = image.pixels.shape[:2]
            return ImageError(
                image.source,
                f'{image.source}: the test pipeline refuses an image of '
                f'{width} x {height} ({reason})',
                image.place,
            )
        sample = packed['data_samples']
        sample.set_metainfo({'vocabulary': vocabulary})
        if max_side is not None:
            size = fitting(sample.ori_shape, max_side)
            sample.set_metainfo({'ori_shape': size})
        return image, packed

    @torch.no_grad()
    def _predict(
        self,
        ready: Sequence[PackedImage],
        vocabulary: Vocabulary,
        options: PredictOptions,
    ) -> list[ImageResult]:
        if not ready:
            return []
        images = [image for image, _ in ready]
        inputs = [packed for _, packed in ready]
        tuner = options.tuner
        before = 0 if tuner is None else tuner.counts.queries
        with self._turn:
            samples = self.model.test_step(pseudo_collate(inputs), options)
        if tuner is not None:
            queries = tuner.counts.queries - before
            note = 'prompt not tuned: no confident query of an unseen class'
            if queries:
                note = f'prompt tuned on {queries} confident queries'
            images = [replace(x, notes=(*x.notes, note)) for x in images]
        return [
            image_result(sample, image, vocabulary)
            for sample, image in zip(samples, images, strict=True)
        ]


def _pipeline(config: Config) -> Compose:
    """The config's test pipeline, for images that are read already."""
    steps = deepcopy(find_test_pipeline(config))
    if not str(steps[0].type).endswith('LoadImageFromFile'):
        raise ValueError(
            f'the test pipeline begins with {steps[0].type}, expected '
            'LoadImageFromFile'
        )
    steps[0].type = 'mmdet.LoadImageFromNDArray'
    return Compose(steps)
