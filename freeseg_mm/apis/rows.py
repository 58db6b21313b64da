"""Results as rows of a table: for Ray Data, Parquet, and from there COCO."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from .inferencer import FreeSegInferencer
from .inputs import decode_image, read_image
from .results import ImageError, ImageResult, categories_of
from .vocabulary import Classes, read_classes
from .writer import write_coco

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from freeseg_mm.models.predict_options import PredictOverrides

# Entries of `ImageResult.to_json` by task.
_ENTRIES = {
    'semantic': 'semantic',
    'instance': 'instances',
    'panoptic': 'panoptic',
}
_COLUMNS = {
    'image': 'string',
    'height': 'int32',
    'width': 'int32',
    'task': 'string',
    'object': 'int32',
    'class': 'string',
    'category_id': 'int32',
    'score': 'float64',
    'area': 'int64',
    'rle': 'string',
    'error': 'string',
}


class RayPredictor:
    """Prediction of batches of images, for Ray Data's ``map_batches``.

    Each actor makes one, and with it its model: ``dataset.map_batches(
    RayPredictor, fn_constructor_kwargs={...}, concurrency=8, num_gpus=1)``.
    Images do not know of one another, so that the rows do not depend on
    batches, actors and machines.

    Args:
        model: See :class:`FreeSegInferencer`, as the three next; a file has
            to be there on each machine.
        classes: See :meth:`FreeSegInferencer.stream`, as the two next.
        checkpoint: The weights, unless ``model`` says them.
        device: Default the GPU that Ray gives the actor, or the CPU.
        max_side: Results of larger images are computed at this longer side.
        things: Names that are countable.
        unseen: Names that training had no labels of.
        **options: As ``tasks``, ``score_thr``.

    Raises:
        ImportError: If pyarrow, which comes with Ray Data, is missing.
        ValueError: See :class:`FreeSegInferencer`.
    """

    def __init__(
        self,
        model: str,
        classes: Classes,
        checkpoint: str | None = None,
        *,
        device: str | None = None,
        max_side: int | None = 2048,
        things: Iterable[str] | None = None,
        unseen: Iterable[str] | None = None,
        **options: 'Unpack[PredictOverrides]',
    ) -> None:
        try:
            self._arrow = import_module('pyarrow')
        except ImportError as error:
            raise ImportError(
                "RayPredictor needs Ray Data; run `pip install 'freeseg_mm"
                "[ray]'`"
            ) from error
        self._inferencer = FreeSegInferencer(
            model, checkpoint, device=device, max_side=max_side, progress=False
        )
        self._call: dict[str, Any] = {
            'classes': classes,
            'things': things,
            'unseen': unseen,
            **options,
        }
        self._inferencer.subject(**self._call)  # refuses what is wrong

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> Any:
        """Predict a batch.

        Args:
            batch: Columns, one entry an image: ``path``, its name; with
                ``bytes``, the content of its file (``read_binary_files(...,
                include_paths=True)``), or ``image``, RGB, (H, W, 3) uint8
                (``read_images(..., include_paths=True)``), or neither, to
                read the file or URL here.

        Returns:
            A ``pyarrow.Table``, a row an object, segment or semantic region:
            ``image`` (the path), ``height``, ``width``, ``task``,
            ``object`` (its number in the image's task, from 0), ``class``,
            ``category_id`` (its label + 1), ``score`` (of no region),
            ``area`` and ``rle``, COCO's compressed counts of the mask. An
            image without any has a row of its own; of one that failed,
            ``error`` says why.

        Raises:
            ValueError: If there is no column ``path``.
        """
        if 'path' not in batch:
            raise ValueError(
                f'expected a column "path", got {sorted(batch)}; read with '
                'include_paths=True'
            )
        names = [str(path) for path in batch['path']]
        kind = next((k for k in ('bytes', 'image') if k in batch), 'path')
        read = [
            _read(name, entry)
            for name, entry in zip(names, batch[kind], strict=True)
        ]
        pixels = [x for x in read if not isinstance(x, ImageError)]
        outcomes: Iterator[ImageResult | ImageError] = iter(())
        if pixels:
            outcomes = self._inferencer.stream(pixels, **self._call)
        rows = [
            row
            for name, found in zip(names, read, strict=True)
            for row in _rows(
                name,
                found if isinstance(found, ImageError) else next(outcomes),
            )
        ]
        arrow = self._arrow
        schema = [(k, arrow.type_for_alias(v)) for k, v in _COLUMNS.items()]
        return arrow.Table.from_pylist(rows, schema=arrow.schema(schema))


def _read(name: str, entry: Any) -> np.ndarray | ImageError:
    """Pixels of an image, BGR, or why there are none."""
    try:
        if isinstance(entry, np.ndarray):
            return read_image(entry, channel_order='rgb').pixels
        if isinstance(entry, bytes):
            return decode_image(entry, name).pixels
        return read_image(name).pixels
    except (FileNotFoundError, TypeError, ValueError) as error:
        return ImageError(name, str(error))


def _rows(
    name: str, outcome: ImageResult | ImageError
) -> Iterator[dict[str, Any]]:
    row: dict[str, Any] = {'image': name}
    if isinstance(outcome, ImageError):
        # the inferencer was given arrays
        reason = outcome.reason.removeprefix(f'{outcome.source}: ')
        yield {**row, 'error': f'{name}: {reason.removeprefix(f"{name}: ")}'}
        return
    row['height'], row['width'] = outcome.size
    content = outcome.to_json()
    is_empty = True
    for task, key in _ENTRIES.items():
        for number, entry in enumerate(content.get(key, ())):
            is_empty = False
            yield {
                **row,
                'task': task,
                'object': number,
                'class': entry['name'],
                'category_id': entry['category_id'],
                'score': entry.get('score'),
                'area': entry['area'],
                'rle': entry['segmentation']['counts'],
            }
    if is_empty:
        yield row


def rows_to_coco(
    rows: Callable[[], Iterable[Mapping[str, Any]]],
    path: str | Path,
    classes: Classes,
    things: Iterable[str] | None = None,
) -> None:
    """Write rows of the instance task as a COCO JSON, an image at a time.

    Images that failed are left out.

    Args:
        rows: Gives, each time, the rows of :class:`RayPredictor`, sorted by
            ``image`` and ``object``: ``dataset.sort(['image',
            'object']).iter_rows``.
        path: The file.
        classes: As they were predicted.
        things: The same.

    Raises:
        ValueError: If the rows are not sorted.
    """

    def records() -> Iterator[dict[str, Any]]:
        last = ''
        for name, found in groupby(rows(), itemgetter('image')):
            if name <= last:
                raise ValueError(f'{name}: expected rows sorted by image')
            last = name
            group = [row for row in found if row['error'] is None]
            if group:
                size = {key: group[0][key] for key in ('height', 'width')}
                yield {
                    'image': {'id': 0, 'file_name': name, **size},
                    'instances': [
                        _annotation(row)
                        for row in group
                        if row['task'] == 'instance'
                    ],
                }

    categories = categories_of(read_classes(classes, things=things))
    write_coco(Path(path), records, 'instances', categories)


def _annotation(row: Mapping[str, Any]) -> dict[str, Any]:
    size = [row['height'], row['width']]
    box = coco_mask.toBbox({'size': size, 'counts': row['rle'].encode()})
    return {
        'image_id': 0,
        'category_id': row['category_id'],
        'segmentation': {'size': size, 'counts': row['rle']},
        'bbox': box.tolist(),
        'area': row['area'],
        'iscrowd': 0,
        'score': row['score'],
    }
