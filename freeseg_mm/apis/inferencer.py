"""Words in, masks out, from Python."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmcv.transforms import Compose
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from tqdm import tqdm

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.run_config import check_options

from .answers import image_result
from .inputs import (
    Images,
    InputImage,
    OneImage,
    list_images,
    read_image,
    source_name,
)
from .names import find_config, model_names
from .resampling import fitting
from .results import FailedImage, ImageResult, ImagesFailed
from .thresholds import Thresholds, for_this_call
from .weights import WeightsInfo
from .words import Words, read_words

RANDOM = 'random'


class FreeSegInferencer:
    """A trained FreeSeg that is asked for any words, image by image.

    Words, tasks and thresholds belong to a call and leave nothing behind; a
    name costs its text once. Threads may share an inferencer: they read
    images at the same time and take turns at the network.

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

    Raises:
        FileNotFoundError: If there is no such config, checkpoint or name.
        KeyError: If an entry of ``cfg_options`` could have no effect.
        ValueError: If there are no weights, they do not fit the config,
            there is no such device, or ``max_side`` is not positive.
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
        info = WeightsInfo.read(weights) if weights and not is_random else None
        self.device = _device(device)
        self.trained_on = info.vocabulary if info else None
        self.model: FreeSeg = _build(config, info, self.device)
        self._pipeline = _pipeline(config)
        self._max_side = max_side
        self._progress = progress
        # Settings of a call are put on the model while it answers.
        self._turn = threading.Lock()

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
            classes: See :func:`freeseg_mm.apis.words.read_words`.
            things: The same.
            unseen: The same; by default what the weights were not trained
                on.

        Raises:
            ValueError: Also if CLIP cannot read a name.
        """
        vocabulary = read_words(
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
    ) -> list[ImageResult]:
        """Answer images; see :meth:`stream`, which takes the same.

        Returns:
            One result an image, in order.

        Raises:
            ImagesFailed: If an image could not be read, after all others
                were answered; it holds their results.
        """
        answers = list(
            self.stream(
                images,
                classes,
                things=things,
                unseen=unseen,
                tasks=tasks,
                batch_size=batch_size,
                thresholds=thresholds,
            )
        )
        results = [x for x in answers if isinstance(x, ImageResult)]
        failed = [x for x in answers if isinstance(x, FailedImage)]
        if failed:
            raise ImagesFailed(failed, results)
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
    ) -> Iterator[ImageResult | FailedImage]:
        """Answer images one after the other, holding a batch at a time.

        Args:
            images: See :func:`freeseg_mm.apis.inputs.list_images`.
            classes: See :func:`freeseg_mm.apis.words.read_words`, as the two
                next.
            things: Names that are countable.
            unseen: Names that training had no labels of.
            tasks: ``semantic``, ``instance``, ``panoptic`` or several of
                them; default what the config says.
            batch_size: Images that pass the network together. Images of
                different sizes are padded to a common one, which may move
                results a little.
            thresholds: Of this call.

        Returns:
            An iterator over an answer an image, in order. All arguments are
            checked before it is returned, the images when their turn comes.

        Raises:
            FileNotFoundError: If a file, folder or vocabulary is missing.
            TypeError: If images or words are of a wrong type.
            ValueError: If there are no images or words, a word, task or
                number is unusable.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size: expected at least 1: {batch_size}')
        asked = None
        if tasks is not None:
            asked = Task.parse_many(tasks)
        entries = list_images(images)
        vocabulary = self.vocabulary(classes, things, unseen)
        answers = self._answers(
            entries, vocabulary, asked, batch_size, thresholds
        )
        is_hidden = None if self._progress is None else not self._progress
        return iter(
            tqdm(
                answers,
                total=len(entries),
                unit='image',
                disable=is_hidden if len(entries) > 1 else True,
            )
        )

    def _answers(
        self,
        entries: Sequence[OneImage],
        vocabulary: Vocabulary,
        tasks: tuple[Task, ...] | None,
        batch_size: int,
        thresholds: Thresholds,
    ) -> Iterator[ImageResult | FailedImage]:
        for start in range(0, len(entries), batch_size):
            chunk = enumerate(entries[start : start + batch_size], start)
            read = [_read(entry, index) for index, entry in chunk]
            images = [x for x in read if isinstance(x, InputImage)]
            results = iter(self._infer(images, vocabulary, tasks, thresholds))
            for image in read:
                if isinstance(image, FailedImage):
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
        with self._turn, for_this_call(self.model, tasks, thresholds):
            samples = self.model.test_step(pseudo_collate(inputs))
        return [
            image_result(sample, image, vocabulary, thresholds.score_thr)
            for sample, image in zip(samples, images, strict=True)
        ]


def _read(entry: OneImage, index: int) -> InputImage | FailedImage:
    try:
        return read_image(entry, index)
    except (FileNotFoundError, TypeError, ValueError) as error:
        return FailedImage(source_name(entry, index), str(error))


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f'no device {name!r}; give cpu, cuda or cuda:0'
        ) from error
    if device.type == 'cuda' and (
        (device.index or 0) >= torch.cuda.device_count()
    ):
        raise ValueError(
            f'no device {name!r}: PyTorch sees {torch.cuda.device_count()} '
            'CUDA devices'
        )
    return device


def _build(
    config: Config, info: WeightsInfo | None, device: torch.device
) -> FreeSeg:
    init_default_scope(config.get('default_scope', 'mmdet'))
    if info is not None:  # they hold the backbone's
        config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    if not isinstance(model, FreeSeg):
        raise ValueError(
            f'the config builds a {type(model).__name__}, not a '
            'freeseg_mm.FreeSeg'
        )
    if info is None:
        model.init_weights()
    else:
        info.check(model)
        model.load_state_dict(info.content['state_dict'])
        meta = info.content.get('meta', {}).get('dataset_meta')
        model.dataset_meta = dict(meta or {})
    model.cfg = config  # as mmdet's functions expect
    return model.to(device).eval()


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
