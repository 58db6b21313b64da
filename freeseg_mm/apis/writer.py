"""Results as files in a folder."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from .results import (
    ImageResult,
    categories,
    image_entry,
    write_label_map,
    write_panoptic_png,
)

FORMATS = ('png', 'json', 'coco')


class ResultWriter:
    """Writes each result in one or several formats.

    ``png``: a picture with a legend, ``pictures/NAME.png``. ``json``:
    everything about an image, ``json/NAME.json``. ``coco``: of the tasks
    that were asked for, ``instances.json`` (annotations with scores);
    ``panoptic.json`` and ``panoptic/NAME.png``; ``semantic/NAME.png``,
    labels. NAME is the image's, of a frame with its number; a second one
    becomes ``NAME_2``. Category ids are labels + 1.

    Args:
        folder: Where to; made if it does not exist.
        formats: Of :data:`FORMATS`.
        max_side: Longer side of the image in a picture.

    Raises:
        ValueError: If a format is unknown or the folder is a file.
    """

    def __init__(
        self, folder: Path, formats: Sequence[str], max_side: int = 1024
    ) -> None:
        unknown = sorted(set(formats) - set(FORMATS))
        if unknown or not formats:
            raise ValueError(
                f'unknown formats {unknown}; expected some of {FORMATS}'
            )
        if folder.exists() and not folder.is_dir():
            raise ValueError(f'{folder} is a file; give a folder to write to')
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._formats = tuple(dict.fromkeys(formats))
        self._max_side = max_side
        self._names: Counter[str] = Counter()
        self._images: list[dict[str, Any]] = []
        self._annotations: dict[str, list[dict[str, Any]]] = {}
        self._categories: list[dict[str, Any]] = []

    def write(self, result: ImageResult) -> list[Path]:
        """Write one result.

        Returns:
            The files that were written.

        Raises:
            ValueError: If a file would take the place of the image itself.
        """
        name = self._name(result)
        writers = {
            'png': self._write_picture,
            'json': self._write_json,
            'coco': self._write_coco,
        }
        return [
            path
            for kind in self._formats
            for path in writers[kind](result, name)
        ]

    def finish(self) -> list[Path]:
        """Write what all images share.

        Returns:
            The files that were written.
        """
        return [
            _write_json(
                self.folder / f'{task}.json',
                {
                    'images': self._images,
                    'annotations': annotations,
                    'categories': self._categories,
                },
            )
            for task, annotations in self._annotations.items()
        ]

    def _write_picture(self, result: ImageResult, name: str) -> list[Path]:
        path = self._path(result, 'pictures', f'{name}.png')
        Image.fromarray(result.picture(self._max_side)).save(path)
        return [path]

    def _write_json(self, result: ImageResult, name: str) -> list[Path]:
        path = self._path(result, 'json', f'{name}.json')
        return [_write_json(path, result.to_json())]

    def _write_coco(self, result: ImageResult, name: str) -> list[Path]:
        self._categories = categories(result)
        image_id = len(self._images) + 1
        self._images.append(image_entry(result, image_id))
        paths = []
        if result.masks is not None:
            rows = self._annotations.setdefault('instances', [])
            for row in result.to_coco(image_id):
                rows.append({'id': len(rows) + 1, **row})
        if result.segments is not None:
            path = self._path(result, 'panoptic', f'{name}.png')
            row = write_panoptic_png(result, path, image_id)
            self._annotations.setdefault('panoptic', []).append(row)
            paths.append(path)
        if result.label_map is not None:
            path = self._path(result, 'semantic', f'{name}.png')
            write_label_map(result, path)
            paths.append(path)
        return paths

    def _path(self, result: ImageResult, folder: str, name: str) -> Path:
        path = self.folder / folder / name
        path.parent.mkdir(exist_ok=True)
        if path.resolve() == Path(result.source).resolve():
            raise ValueError(
                f'{path}: the answer would take the place of the image; '
                'choose another folder to write to'
            )
        return path

    def _name(self, result: ImageResult) -> str:
        name = result.stem
        self._names[name] += 1
        count = self._names[name]
        return name if count == 1 else f'{name}_{count}'


def _write_json(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content) + '\n')
    return path
