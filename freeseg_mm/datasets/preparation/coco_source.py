"""The public COCO 2017 download, read with checks."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeseg_mm.utils.files import (
    file_sizes,
    naming_errors,
    read_json,
    require_files,
)

from .coco_merge import panoptic_categories
from .split_preparation import SourceImage, require_count

NUM_IMAGES = {'train2017': 118_287, 'val2017': 5_000}


@dataclass(frozen=True)
class CocoSource:
    """One split of the download.

    Attributes:
        root: Folder with ``train2017/``, ``annotations/`` and
            ``stuffthingmaps/``.
        split: ``train2017`` or ``val2017``.
    """

    root: Path
    split: str

    def __post_init__(self) -> None:
        if self.split not in NUM_IMAGES:
            raise ValueError(
                f'unknown split {self.split!r}; COCO has {list(NUM_IMAGES)}'
            )

    @property
    def images(self) -> Path:
        """Folder of the images."""
        return self.root / self.split

    @property
    def panoptic_json(self) -> Path:
        """Official panoptic JSON, 133 classes."""
        return self.root / 'annotations' / f'panoptic_{self.split}.json'

    @property
    def panoptic_pngs(self) -> Path:
        """Folder of the official panoptic PNGs."""
        return self.root / 'annotations' / f'panoptic_{self.split}'

    @property
    def instances_json(self) -> Path:
        """Official instances JSON."""
        return self.root / 'annotations' / f'instances_{self.split}.json'

    @property
    def stuffthingmaps(self) -> Path:
        """Folder of COCO-Stuff's label PNGs."""
        return self.root / 'stuffthingmaps' / self.split

    def require_layout(self) -> None:
        """Raise FileNotFoundError unless all parts of the split are there."""
        parts = {
            path: path.is_file()
            for path in (self.panoptic_json, self.instances_json)
        }
        for path in (self.images, self.panoptic_pngs, self.stuffthingmaps):
            parts[path] = path.is_dir()
        missing = [str(path) for path, found in parts.items() if not found]
        if missing:
            raise FileNotFoundError(
                f'{self.root} is no whole COCO 2017 download, missing: '
                f'{", ".join(missing)}'
            )

    def digest(self) -> str:
        """SHA-256 of the panoptic JSON, hexadecimal."""
        return hashlib.sha256(self.panoptic_json.read_bytes()).hexdigest()

    def read(self, subset: bool) -> tuple[dict[str, Any], list[SourceImage]]:
        """Read the panoptic JSON and check that all its files are there.

        Args:
            subset: Accept another number of images than the official one.

        Returns:
            The JSON object, and its images in order: their ``labels`` are
            the panoptic PNG and the stuffthingmap, their ``content`` has
            ``size``, (H, W), and the official ``segments``.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If the JSON is not COCO's 133-class panoptic one, or
                has not the official number of images.
        """
        self.require_layout()
        content = read_json(
            self.panoptic_json, ['images', 'annotations', 'categories']
        )
        with naming_errors(self.panoptic_json):
            self._check_categories(content['categories'])
            images = self._pair(content['images'], content['annotations'])
        if not subset and len(images) != NUM_IMAGES[self.split]:
            raise ValueError(
                f'{self.panoptic_json} lists {len(images):,} images but '
                f'{self.split} has {NUM_IMAGES[self.split]:,}; if it is meant '
                'to be a part of COCO, pass --subset'
            )
        for folder, names in (
            (self.images, [image.file_name for image in images]),
            (self.panoptic_pngs, [image.labels[0].name for image in images]),
            (self.stuffthingmaps, [image.labels[1].name for image in images]),
        ):
            require_files(names, file_sizes(folder), folder)
        return content, images

    def read_maps(self, subset: bool) -> list[SourceImage]:
        """List COCO-Stuff's maps and check that their images are there.

        Args:
            subset: Accept another number of images than the official one.

        Raises:
            FileNotFoundError: If a folder or an image is missing.
            ValueError: If there is not the official number of maps, or one
                is not named by an image id.
        """
        for folder in (self.images, self.stuffthingmaps):
            if not folder.is_dir():
                raise FileNotFoundError(f'no folder {folder}')
        maps = sorted(
            name
            for name in file_sizes(self.stuffthingmaps)
            if name.endswith('.png')
        )
        where = str(self.stuffthingmaps)
        require_count(len(maps), NUM_IMAGES[self.split], subset, where)
        odd = [name for name in maps if not Path(name).stem.isdecimal()]
        if odd:
            raise ValueError(
                f'{where} holds {odd[:5]}; maps are named by image ids, as '
                '000000000139.png'
            )
        images = [
            SourceImage(
                int(Path(name).stem),
                f'{Path(name).stem}.jpg',
                (self.stuffthingmaps / name,),
            )
            for name in maps
        ]
        names = [image.file_name for image in images]
        require_files(names, file_sizes(self.images), self.images)
        return images

    @staticmethod
    def _check_categories(categories: list[dict[str, Any]]) -> None:
        for category in categories:
            id_, name = category['id'], category['name']
            expected = panoptic_categories().get(id_)
            if name != expected:
                raise ValueError(
                    f'unknown category id {id_} ({name!r}); expected the 133 '
                    'of COCO panoptic'
                    + (f', where it is {expected!r}' if expected else '')
                )

    def _pair(
        self, images: list[dict[str, Any]], annotations: list[dict[str, Any]]
    ) -> list[SourceImage]:
        by_image = {entry['image_id']: entry for entry in annotations}
        ids = {entry['id'] for entry in images}
        if not len(ids) == len(images) == len(annotations) == len(by_image):
            raise ValueError(
                'expected one annotation per image, got '
                f'{len(images)} images ({len(ids)} ids) and '
                f'{len(annotations)} annotations (of {len(by_image)} images)'
            )
        if ids != set(by_image):
            raise ValueError(
                f'image ids {sorted(ids - set(by_image))[:5]} have no '
                'annotation'
            )
        return [
            SourceImage(
                entry['id'],
                entry['file_name'],
                (
                    self.panoptic_pngs / by_image[entry['id']]['file_name'],
                    self.stuffthingmaps
                    / f'{Path(entry["file_name"]).stem}.png',
                ),
                {
                    'size': (entry['height'], entry['width']),
                    'segments': by_image[entry['id']]['segments_info'],
                },
            )
            for entry in images
        ]
