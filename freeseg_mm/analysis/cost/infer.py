"""``freeseg-mm bench infer``: what answering one batch costs, part by part."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmdet.structures import SampleList
from torch import Tensor

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Task

from .agreement import PagePrediction, agreement, of_tasks, recorded
from .parts import PREDICT_PARTS, predict_places, released_places
from .passes import KINDS, Contender, measure_sides
from .released import ReleasedFlow
from .report import agreement_lines, ratio_lines, ratios, table
from .settings import (
    BenchOptions,
    build_model,
    check_against,
    check_least,
    make_images,
    make_samples,
    make_vocabulary,
    other_config,
    prepare_device,
    print_now,
    read_config,
    settings,
)

PRESETS = ('reference',)


@dataclass(frozen=True)
class InferOptions(BenchOptions):
    """What to measure; all files are answered in each run.

    Attributes:
        against: A preset of :data:`PRESETS`, another config file, or
            ``None``. ``reference`` is :class:`ReleasedFlow` on the same
            weights.
        checkpoint: Weights of both sides; ``None`` for random ones.
        queries: Mask proposals; ``None`` as configured.
        tasks: Tasks to answer; ``None`` as configured.
        images: Image files, or ``random``.
        measure: What to measure, of :data:`KINDS`.
    """

    checkpoint: str | None = None
    queries: int | None = None
    tasks: Sequence[str] | None = None
    images: Sequence[str] = ('random',)
    measure: Sequence[str] = KINDS


class InferBenchmark:
    """Measure one or two sides in one run.

    Args:
        options: What to measure.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a number is too small or a preset unknown.
    """

    def __init__(self, options: InferOptions) -> None:
        check_least(options, runs=1, warmup=0, queries=1, threads=1)
        check_against(options.against, options.against_options, PRESETS)
        unknown = sorted(set(options.measure) - set(KINDS))
        if unknown or not options.measure:
            raise ValueError(
                f'--measure {unknown}: expected some of {list(KINDS)}'
            )
        self.options = options
        self.device = prepare_device(options.device, options.threads)
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
        self.predictions: dict[str, list[PagePrediction]] = {}
        self.sides = self._build_sides()

    def _prepare(self, images: list[Tensor]) -> dict[str, Any]:
        samples = make_samples(images, self.vocabulary)
        return self.model.data_preprocessor(
            {'inputs': images, 'data_samples': samples}, False
        )

    def run(self, show: Callable[[str], None] = print_now) -> dict[str, Any]:
        """Measure counts, multiply-adds, seconds and bytes.

        Args:
            show: Takes each table as soon as it is known.

        Returns:
            ``settings``; ``num_images``, to which the costs of one run
            belong; ``sides``, the costs of each by name (see
            :func:`measure_sides`); with two of them ``ratio`` and ``same``
            (see :func:`sameness`).
        """
        options, sides = self.options, self.sides
        measure_sides(
            sides,
            device=self.device,
            runs=options.runs,
            warmup=options.warmup,
            show=lambda kind: show(table(kind, sides, PREDICT_PARTS) + '\n'),
            kinds=options.measure,
        )
        result: dict[str, Any] = {
            'settings': settings(options, self.device),
            'num_images': sum(len(x['inputs']) for x in self.batches),
            'sides': {side.name: side.costs for side in sides},
        }
        if len(sides) == 2:
            this, against = sides
            result['ratio'] = ratios(this, against)
            common = [task for task in self.tasks[0] if task in self.tasks[1]]
            result['same'] = agreement(
                of_tasks(self.predictions[this.name], self.tasks[0], common),
                of_tasks(
                    self.predictions[against.name], self.tasks[1], common
                ),
                common,
            )
            if result['ratio']:
                show(ratio_lines(this, against, result['ratio']))
            show(agreement_lines(result['same']))
        return result

    def _build_sides(self) -> list[Contender]:
        options = self.options
        sides = [self._model_side('this', self.model)]
        self.tasks = [self.model.tasks, self.model.tasks]
        if options.against in PRESETS:
            flow = ReleasedFlow(self.model)
            sides.append(
                Contender(
                    'reference',
                    self._predicting('reference', self.model, flow.predict),
                    released_places(flow),
                    clip=self.model.clip,
                )
            )
        elif options.against or options.against_options:
            other = self._build(*other_config(options))
            _share_weights(self.model, other)
            self.tasks[1] = other.tasks
            sides.append(self._model_side('against', other))
        return sides

    def _model_side(self, name: str, model: FreeSeg) -> Contender:
        return Contender(
            name,
            self._predicting(name, model, model.predict),
            predict_places(model),
            clip=model.clip,
            # setting a mode makes a model forget its text embeddings
            forget=model.eval,
        )

    def _predicting(
        self,
        name: str,
        model: FreeSeg,
        predict: Callable[[Tensor, SampleList], SampleList],
    ) -> Callable[[], None]:
        """A run of a side; the answers of the first one are kept."""

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

        return run

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
