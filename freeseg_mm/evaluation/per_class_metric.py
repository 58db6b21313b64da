"""Base of the metrics: their vocabulary, and results per class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from terminaltables import AsciiTable  # type: ignore[import-untyped]

from freeseg_mm.structures import Vocabulary


class PerClassMetric:
    """Mixin of a metric that reports every class of the vocabulary.

    Comes before the mmengine metric in the list of bases.

    Attributes:
        vocabulary: The vocabulary of the dataset, once it is known.
        per_class_results: After an evaluation, per class name ``is_seen``,
            ``is_thing`` and the percent values of this metric (NaN where the
            class does not occur). Filled on the main process only.
    """

    vocabulary: Vocabulary
    per_class_results: dict[str, dict[str, Any]]
    _dataset_meta: dict | None

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the dataset, with ``vocabulary``."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Take the vocabulary, so that a wrong one fails before the test.

        Raises:
            ValueError: If there is no vocabulary or ``classes`` differ.
        """
        if 'vocabulary' not in dataset_meta:
            raise ValueError(
                f"{type(self).__name__}: the dataset's metainfo has no "
                f"'vocabulary', only {sorted(dataset_meta)}; evaluate on a "
                'dataset of freeseg_mm'
            )
        vocabulary = Vocabulary.from_dict(dataset_meta['vocabulary'])
        classes = tuple(dataset_meta.get('classes', vocabulary.names))
        if classes != vocabulary.names:
            raise ValueError(
                f"{type(self).__name__}: 'classes' of the dataset's metainfo "
                f'({len(classes)} names) are not the names of its vocabulary '
                f'{vocabulary.name!r} ({len(vocabulary)} names)'
            )
        self._dataset_meta = dataset_meta
        self.vocabulary = vocabulary
        self.per_class_results = {}
        self.vocabulary_changed()

    def vocabulary_changed(self) -> None:
        """Check the vocabulary against other inputs of the metric."""

    def report_classes(
        self,
        title: str,
        values: Mapping[str, np.ndarray],
        classes: Sequence[int],
    ) -> None:
        """Keep and log the values of single classes.

        Args:
            title: Subject of the table.
            values: Percent of each quantity, one for each of ``classes``.
            classes: Positions in the vocabulary, the rows of the table.
        """
        vocabulary = self.vocabulary
        self.per_class_results = {
            vocabulary.names[index]: {
                'is_seen': vocabulary.is_seen[index],
                'is_thing': vocabulary.is_thing[index],
                **{name: float(array[row]) for name, array in values.items()},
            }
            for row, index in enumerate(classes)
        }
        rows = [
            (
                name,
                'seen' if result['is_seen'] else 'unseen',
                'thing' if result['is_thing'] else 'stuff',
                *(f'{result[quantity]:.2f}' for quantity in values),
            )
            for name, result in self.per_class_results.items()
        ]
        # as mmdet; rich takes half a second for three tables of 171 rows
        table = AsciiTable([('class', 'split', 'kind', *values), *rows]).table
        print_log(f'{title} per class, %:\n{table}', logger='current')


def prediction_of(sample: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Prediction of one task on a sample.

    Raises:
        ValueError: If the model did not predict the task; the image is
            named.
    """
    if sample.get(field) is None:
        raise ValueError(
            f'image {sample["img_id"]}: the model gave no {field!r}; take its '
            'task into the tasks tested or leave this metric out'
        )
    return sample[field]


def id_map_of(pixels: Mapping[str, Any]) -> np.ndarray:
    """Map of class indices or segment ids, (H, W) int64, of a prediction.

    Args:
        pixels: Prediction with ``sem_seg``, (1, H, W) int, on any device.
    """
    values = torch.as_tensor(pixels['sem_seg'])
    return values.squeeze(0).cpu().numpy().astype(np.int64, copy=False)
