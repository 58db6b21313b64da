"""Words in, masks out, from Python."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from mmcv.transforms import Compose
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from tqdm import tqdm

from freeseg_mm.engine.checkpoint import WeightsInfo, build_model
from freeseg_mm.models.prompt_tuning import PromptTuner
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.resampling import fitting
from freeseg_mm.utils.run_config import check_options

from .inputs import Images, InputImage, OneImage, list_images
from .model_names import find_config, model_names
from .options import (
    Thresholds,
    TuningChoice,
    for_this_call,
    new_tuner,
    tuning_note,
    tuning_settings,
)
from .results import ImageError, ImageResult, InferenceError, image_result
from .video import count_inputs, is_video, read_inputs
from .vocabulary import Words, read_classes

RANDOM = 'random'


class FreeSegInferencer:
    """A trained FreeSeg that is asked for any words, image by image.

    Words, tasks, thresholds and tuned prompts belong to a call and leave
    nothing behind; a list of words costs its text once. Threads may share an
    inferencer: they read images at the same time and take turns at the
    network.

    Args:
        model: A config file or object, a checkpoint (``.pth``), or a short
            name; see :meth:`model_names`.
        checkpoint: The weights, unless ``model`` says them; ``random`` for
            none, to try things out.
        device: As ``cpu`` or ``cuda:0``; default CUDA if there is one.
        cfg_options: Config entries to change, by dotted key.
        max_side: The answers on an image with a longer side are worked out
            at this one and then enlarged, which a note of the result says.
            The network sees the same; memory and time grow with the pixels
            of the answers. ``None`` for no limit.
        progress: Whether several images show a progress bar; default on a
            terminal.
        prompt_tuning: Test-time prompt tuning of calls that do not say it
            themselves, see :meth:`stream`; default what the config says.

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
        prompt_tuning: TuningChoice = None,
    ) -> None:
        if max_side is not None and max_side < 1:
            raise ValueError(f'max_side: expected at least 1, got {max_side}')
        is_random = checkpoint == RANDOM
        config, weights = find_config(model, None if is_random else checkpoint)
        config = deepcopy(config)
        if cfg_options:
            check_options(config, dict(cfg_options))
            config.merge_from_dict(dict(cfg_options))
        if weights is None and not is_random:
            raise ValueError(
                f'no weights for {model}: give a checkpoint, as work_dirs/'
                f"NAME/iter_500.pth, or '{RANDOM}' for random ones"
            )
        test_cfg = config.model.get('test_cfg') or {}
        self._usual_tuning = test_cfg.get('prompt_tuning')
        self._tuning = tuning_settings(prompt_tuning, self._usual_tuning)
        info = WeightsInfo.read(weights) if weights and not is_random else None
        self.trained_on = info.vocabulary if info else None
        self.model: FreeSeg = build_model(config, info, device)
        self.device = next(self.model.parameters()).device
        self._pipeline = _pipeline(config)
        self._max_side = max_side
        self._progress = progress
        # Settings of a call are put on the model while it answers.
        self._turn = threading.Lock()
        self._tuner(None)  # refuses what the model cannot tune

    @staticmethod
    def model_names() -> list[str]:
        """Short names that a checkout understands."""
        return model_names()

    def vocabulary(
        self,
        classes: Words,
        things: Iterable[str] | None = None,
        unseen: Iterable[str] | None = None,
    ) -> Vocabulary:
        """What a call with these arguments looks for.

        Args:
            classes: See :func:`freeseg_mm.apis.vocabulary.read_words`.
            things: The same.
            unseen: The same; by default what the weights were not trained
                on.

        Raises:
            ValueError: Also if CLIP cannot read a name.
        """
        vocabulary = read_classes(
            classes, things=things, unseen=unseen, trained_on=self.trained_on
        )
        self.model.check_vocabulary(vocabulary)
        return vocabulary

    def __call__(
        self,
        images: Images,
        classes: Words,
        *,
        things: Iterable[str] | None = None,
        unseen: Iterable[str] | None = None,
        tasks: str | Iterable[str] | None = None,
        batch_size: int = 1,
        thresholds: Thresholds = Thresholds(),  # noqa: B008 - immutable
        frame_stride: int = 1,
        prompt_tuning: TuningChoice = None,
    ) -> list[ImageResult]:
        """Answer images; see :meth:`stream`, which takes the same.

        Of a video all results are kept, each with its frame: for more than
        some seconds of it take :meth:`stream`.

        Returns:
            One result an image or frame, in order.

        Raises:
            InferenceError: If an image could not be read, after all others
                were answered; it holds their results.
        """
        predictions = list(
            self.stream(
                images,
                classes,
                things=things,
                unseen=unseen,
                tasks=tasks,
                batch_size=batch_size,
                thresholds=thresholds,
                frame_stride=frame_stride,
                prompt_tuning=prompt_tuning,
            )
        )
        results = [x for x in predictions if isinstance(x, ImageResult)]
        failed = [x for x in predictions if isinstance(x, ImageError)]
        if failed:
            raise InferenceError(failed, results)
        return results

    def stream(
        self,
        images: Images,
        classes: Words,
        *,
        things: Iterable[str] | None = None,
        unseen: Iterable[str] | None = None,
        tasks: str | Iterable[str] | None = None,
        batch_size: int = 1,
        thresholds: Thresholds = Thresholds(),  # noqa: B008 - immutable
        frame_stride: int = 1,
        prompt_tuning: TuningChoice = None,
    ) -> Iterator[ImageResult | ImageError]:
        """Answer images one after the other, holding a batch at a time.

        Args:
            images: See :func:`freeseg_mm.apis.inputs.list_images`. The
                frames of a video are images.
            classes: See :func:`freeseg_mm.apis.vocabulary.read_words`, as
                the two next.
            things: Names that are countable.
            unseen: Names that training had no labels of.
            tasks: ``semantic``, ``instance``, ``panoptic`` or several of
                them; default what the config says.
            batch_size: Images that pass the network together. Images of
                different sizes are padded to a common one, which may move
                results a little.
            thresholds: Of this call.
            frame_stride: Of a video every so many frames are predicted, from
                frame 0; an image always is.
            prompt_tuning: Tunes the prompt on each batch, so that queries
                become more certain which unseen class they show (Sec. 3.4):
                ``True`` or ``False``, a number of steps, or settings as of
                ``PromptTuning``; default what the inferencer was told.
                Afterwards the prompt is what it was.

        Returns:
            An iterator over an answer an image, in order. All arguments are
            checked before it is returned, the images when their turn comes.

        Raises:
            FileNotFoundError: If a file, folder or vocabulary is missing.
            TypeError: If images, words or ``prompt_tuning`` are of a wrong
                type.
            ValueError: If there are no images or words, a word, task or
                number is unusable.
        """
        for name, number in (
            ('batch_size', batch_size),
            ('every', frame_stride),
        ):
            if number < 1:
                raise ValueError(f'{name}: expected at least 1, got {number}')
        asked = None
        if tasks is not None:
            asked = Task.parse_many(tasks)
        entries = list_images(images)
        vocabulary = self.vocabulary(classes, things, unseen)
        tuner = self._tuner(prompt_tuning)
        predictions = self._predictions(
            read_inputs(entries, frame_stride),
            batch_size,
            lambda batch: self._infer(
                batch, vocabulary, asked, thresholds, tuner
            ),
        )
        return self._with_progress(predictions, entries, frame_stride)

    def _tuner(self, choice: TuningChoice) -> PromptTuner | None:
        settings = self._tuning
        if choice is not None:
            settings = tuning_settings(choice, self._usual_tuning)
        with self._turn:
            return new_tuner(self.model, settings)

    def _with_progress(
        self,
        predictions: Iterator[ImageResult | ImageError],
        entries: Sequence[OneImage],
        frame_stride: int,
    ) -> Iterator[ImageResult | ImageError]:
        shown = self._progress
        if shown is None:
            shown = sys.stderr.isatty()
        if not shown or (len(entries) == 1 and not is_video(entries[0])):
            return predictions
        total = count_inputs(entries, frame_stride)
        return iter(tqdm(predictions, total=total, unit='image'))

    @staticmethod
    def _predictions(
        inputs: Iterator[InputImage | ImageError],
        batch_size: int,
        infer: Callable[[Sequence[InputImage]], list[ImageResult]],
    ) -> Iterator[ImageResult | ImageError]:
        while batch := list(islice(inputs, batch_size)):
            images = [x for x in batch if isinstance(x, InputImage)]
            results = iter(infer(images))
            for image in batch:
                if isinstance(image, ImageError):
                    yield image
                else:
                    yield next(results)

    @torch.no_grad()
    def _infer(
        self,
        images: Sequence[InputImage],
        vocabulary: Vocabulary,
        tasks: tuple[Task, ...] | None,
        thresholds: Thresholds,
        tuner: PromptTuner | None,
    ) -> list[ImageResult]:
        if not images:
            return []
        inputs = []
        for image in images:
            packed = self._pipeline({'img': image.pixels, 'img_id': 0})
            sample = packed['data_samples']
            sample.set_metainfo({'vocabulary': vocabulary})
            if self._max_side is not None:
                size = fitting(sample.ori_shape, self._max_side)
                sample.set_metainfo({'ori_shape': size})
            inputs.append(packed)
        before = 0 if tuner is None else tuner.counts.queries
        with self._turn, for_this_call(self.model, tasks, thresholds, tuner):
            samples = self.model.test_step(pseudo_collate(inputs))
        if tuner is not None:
            note = tuning_note(tuner, before)
            images = [replace(x, notes=(*x.notes, note)) for x in images]
        return [
            image_result(sample, image, vocabulary, thresholds.score_thr)
            for sample, image in zip(samples, images, strict=True)
        ]


def _pipeline(config: Config) -> Compose:
    """The config's test pipeline, for images that are read already."""
    steps = deepcopy(get_test_pipeline_cfg(config))
    if not str(steps[0].type).endswith('LoadImageFromFile'):
        raise ValueError(
            f'the test pipeline begins with {steps[0].type}, expected '
            'LoadImageFromFile'
        )
    steps[0].type = 'mmdet.LoadImageFromNDArray'
    return Compose(steps)
