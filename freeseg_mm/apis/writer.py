"""Results as files in a folder."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.files import write_json, write_text
from freeseg_mm.utils.image_files import write_label_map, write_picture

from .exchange import EXCHANGE_FORMATS
from .inputs import OneImage, is_remote, local_path
from .results import ImageResult

FORMATS = ('png', 'json', 'coco', *EXCHANGE_FORMATS)


class ResultWriter:
    """Writes each result in one or several formats.

    ``png``: a picture with a legend, ``pictures/NAME.png``. ``json``:
    everything about an image, ``json/NAME.json``. ``coco``: of the
    predicted tasks, ``instances.json`` (annotations with scores);
    ``panoptic.json`` and ``panoptic/NAME.png``; ``semantic/NAME.png``,
    labels. Those of annotation tools lie in a folder of the format's name,
    see :mod:`freeseg_mm.apis.exchange`. NAME is the image's, of a frame with
    its number; a second one becomes ``NAME_2``. Category ids are labels + 1.

    Args:
        folder: Folder to write; made if it does not exist.
        formats: Of :data:`FORMATS`.
        max_side: Longer side of the image in a picture.
        inputs: All images, none of which is written over.

    Raises:
        ValueError: If a format is unknown or the folder is a file.
    """

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        max_side: int = 1024,
        inputs: Iterable[OneImage] = (),
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
        self._names: set[str] = set()
        self._inputs = {
            local_path(str(entry)).resolve()
            for entry in inputs
            if isinstance(entry, str | Path) and not is_remote(str(entry))
        }
        self._images: list[dict[str, Any]] = []
        self._annotations: dict[str, list[dict[str, Any]]] = {}
        self._categories: list[dict[str, Any]] = []
        self._vocabulary: Vocabulary | None = None
        self._count = 0
        self._entries: dict[str, list[str]] = {
            kind: [] for kind in self._formats if kind in EXCHANGE_FORMATS
        }

    def write(self, result: ImageResult) -> list[Path]:
        """Write one result.

        Returns:
            The files that were written.

        Raises:
            ValueError: If a file would take the place of an image.
        """
        name = self._name(result)
        writers = {
            'png': self._write_picture,
            'json': self._write_json,
            'coco': self._write_coco,
        }
        self._vocabulary = result.vocabulary
        self._count += 1
        return [
            path
            for kind in self._formats
            for path in (
                writers[kind](result, name)
                if kind in writers
                else self._write_exchange(result, name, kind)
            )
        ]

    def finish(self) -> list[Path]:
        """Write the files that all images share.

        Returns:
            The files that were written.
        """
        paths = []
        for task, annotations in self._annotations.items():
            content = {
                'images': self._images,
                'annotations': annotations,
                'categories': self._categories,
            }
            paths.append(self.folder / f'{task}.json')
            write_json(content, paths[-1])
        if self._vocabulary is not None:
            for kind, entries in self._entries.items():
                files = EXCHANGE_FORMATS[kind].shared_files(
                    self._vocabulary, entries
                )
                for name, text in files.items():
                    paths.append(self.folder / kind / name)
                    write_text(text, paths[-1])
        return paths

    def _write_picture(self, result: ImageResult, name: str) -> list[Path]:
        path = self._path(result, 'pictures', f'{name}.png')
        write_picture(result.plot(max_side=self._max_side), path)
        return [path]

    def _write_json(self, result: ImageResult, name: str) -> list[Path]:
        path = self._path(result, 'json', f'{name}.json')
        write_json(result.to_json(), path)
        return [path]

    def _write_coco(self, result: ImageResult, name: str) -> list[Path]:
        self._categories = result.categories
        image_id = len(self._images) + 1
        self._images.append(result.coco_image(image_id))
        paths = []
        if result.instances is not None:
            rows = self._annotations.setdefault('instances', [])
            for row in result.to_coco(image_id):
                rows.append({'id': len(rows) + 1, **row})
        if result.segments is not None:
            path = self._path(result, 'panoptic', f'{name}.png')
            row = result.save_panoptic(path, image_id, with_json=False)
            self._annotations.setdefault('panoptic', []).append(row)
            paths.append(path)
        if result.label_map is not None:
            path = self._path(result, 'semantic', f'{name}.png')
            kind = np.uint8 if len(result.vocabulary) <= 255 else np.uint16
            write_label_map(result.label_map.astype(kind), path)
            paths.append(path)
        return paths

    def _write_exchange(
        self, result: ImageResult, name: str, kind: str
    ) -> list[Path]:
        tool, folder = EXCHANGE_FORMATS[kind], self.folder / kind
        paths = []
        for file, text in tool.image_files(result, name, folder).items():
            paths.append(self._path(result, kind, file))
            write_text(text, paths[-1])
        self._entries[kind].append(tool.entry(result, self._count))
        return paths

    def _path(self, result: ImageResult, folder: str, name: str) -> Path:
        path = self.folder / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = {local_path(result.source).resolve(), *self._inputs}
        if path.resolve() in taken:
            raise ValueError(
                f'{path}: the prediction would take the place of the image '
                'of that name; '
                'choose another folder to write to'
            )
        return path

    def _name(self, result: ImageResult) -> str:
        stem = name = result.stem
        count = 1
        while (key := _as_disks_see(name)) in self._names:
            count += 1
            name = f'{stem}_{count}'
        self._names.add(key)
        return name


def _as_disks_see(name: str) -> str:
    """A key that is the same for names of which some disks make one file."""
    return unicodedata.normalize('NFC', name).casefold()
