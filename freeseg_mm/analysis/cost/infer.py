"""``freeseg-mm bench infer``: the cost of one prediction, part by part."""

import copy
from collections.abc import Callable
from typing import Any

from mmdet.structures import SampleList
from torch import Tensor

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Task
from freeseg_mm.utils.run_config import read_config

from .agreement import BatchPrediction, agreement, of_tasks, recorded
from .meter import Hotspot
from .options import InferOptions
from .passes import TOTAL, Contender
from .released import ReleasedFlow
from .report import agreement_lines, measure_and_show, print_now
from .settings import (
    build_model,
    make_images,
    make_samples,
    make_vocabulary,
    prepare_device,
)


def predict_hotspots(model: FreeSeg) -> list[Hotspot]:
    """List the parts of a prediction.

    Text that the model remembers, and the ensemble of scores, are in no
    part.
    """
    head = model.panoptic_head
    parts = {
        'backbone': [model.extract_feat],
        'pixel decoder': [head.pixel_decoder],
        'interaction': [head.context_interaction],
        'decoder': [head.propose],
        'query classifier': [head.cls_embed],
        'text': [model.prompt_learner, model.clip_prompt],
        'CLIP images': [model.mask_classifier],
        'post-processing': [model.panoptic_fusion_head.predict],
    }
    return [
        Hotspot(part, target)
        for part, targets in parts.items()
        for target in targets
        if target is not None
    ]


class InferBenchmark:
    """Measure one or two sides in one run.

    Args:
        options: Options of the measurement.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If an option is out of range.
    """

    def __init__(self, options: InferOptions) -> None:
        self.options = options
        self.device = prepare_device(options)
        images = make_images(
            options.images, options.image_size, options.batch, options.seed
        )
        self.vocabulary = make_vocabulary(options.classes)
        self.model = self._build(options.config, options.cfg_options)
        self.model.check_vocabulary(self.vocabulary)
        self.batches = [
            self._prepare(images[start : start + options.batch])
            for start in range(0, len(images), options.batch)
        ]
        self.predictions: dict[str, list[BatchPrediction]] = {}
        self.tasks = [self.model.predict_options.tasks]
        self.sides = [self._side('this', self.model)]
        if options.against == 'reference':
            flow = ReleasedFlow(self.model)
            self.tasks.append(flow.model.predict_options.tasks)
            self.sides.append(
                self._side('reference', flow.model, flow.predict)
            )
        elif options.other_config is not None:
            other = self._build(*options.other_config)
            _share_weights(self.model, other)
            self.tasks.append(other.predict_options.tasks)
            self.sides.append(self._side('against', other))

    def run(self, show: Callable[[str], None] = print_now) -> dict[str, Any]:
        """Measure counts, multiply-adds, seconds and bytes.

        Args:
            show: Takes each table as soon as it is known.

        Returns:
            As :func:`measure_and_show`, with ``num_images``, to which the
            costs of one run belong, and by side ``images_per_second``, if
            seconds are measured; with two sides also ``same`` (see
            :func:`agreement`).
        """
        result = measure_and_show(
            self.sides, self.options, self.device, show, self.options.measure
        )
        result['num_images'] = sum(len(x['inputs']) for x in self.batches)
        if 'seconds' in self.options.measure:
            rates = result['images_per_second'] = {
                side.name: result['num_images'] / side.costs['seconds'][TOTAL]
                for side in self.sides
            }
            for name, rate in rates.items():
                show(f'{name}: {rate:.3g} images a second')
        if len(self.sides) == 2:
            common = [task for task in self.tasks[0] if task in self.tasks[1]]
            ours, theirs = (
                of_tasks(self.predictions[side.name], tasks, common)
                for side, tasks in zip(self.sides, self.tasks, strict=True)
            )
            result['same'] = agreement(ours, theirs, common)
            show(agreement_lines(result['same']))
        return result

    def _prepare(self, images: list[Tensor]) -> dict[str, Any]:
        samples = make_samples(images, self.vocabulary)
        return self.model.data_preprocessor(
            {'inputs': images, 'data_samples': samples}, False
        )

    def _side(
        self,
        name: str,
        model: FreeSeg,
        released: Callable[[Tensor, SampleList], SampleList] | None = None,
    ) -> Contender:
        """Make a side, whose first predictions are kept.

        Args:
            name: Name of the side.
            model: Its model.
            released: The release's way to predict, which remembers nothing,
                in place of the model's own.
        """
        predict = released or model.predict

        def run() -> None:
            predictions = []
            for batch in self.batches:
                with recorded(model) as prediction:
                    prediction.samples = predict(
                        batch['inputs'], copy.deepcopy(batch['data_samples'])
                    )
                if name not in self.predictions:
                    predictions.append(prediction)
            # kept again and again, they would count as memory in use
            self.predictions.setdefault(name, predictions)

        hotspots = predict_hotspots(model)
        # setting a mode makes a model forget its text embeddings
        forget = None if released else model.eval
        return Contender(name, run, hotspots, model.clip, forget)

    def _build(self, path: str, changes: dict[str, Any]) -> FreeSeg:
        options = self.options
        config = read_config(path, changes).model
        if options.queries is not None:
            config.panoptic_head.num_queries = options.queries
        if options.tasks is not None:
            config.test_cfg.tasks = list(options.tasks)
        Task.parse_many(config.test_cfg.tasks)
        return build_model(
            config,
            device=self.device,
            seed=options.seed,
            checkpoint=options.checkpoint,
        )


def _share_weights(model: FreeSeg, other: FreeSeg) -> None:
    """Copy all weights that the two models have in common."""
    weights, wanted = model.state_dict(), other.state_dict()
    other.load_state_dict(
        {
            name: value
            for name, value in weights.items()
            if name in wanted and wanted[name].shape == value.shape
        },
        strict=False,
    )
