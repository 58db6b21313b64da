"""The public COCO 2017 download, read with checks."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeseg_mm.utils.files import file_sizes, read_json, require_files

from .coco_merge import panoptic_categories

NUM_IMAGES = {'train2017': 118_287, 'val2017': 5_000}


@dataclass(frozen=True)
class CocoImage:
    """An image with its official panoptic annotation.

    Attributes:
        id: COCO's image id.
        file_name: Of the image.
        size: (H, W) in pixels.
        png_name: Of the panoptic PNG.
        segments: The official ``segments_info``.
    """

    id: int
    file_name: str
    size: tuple[int, int]
    png_name: str
    segments: list[dict[str, Any]]

    @property
    def label_name(self) -> str:
        """Of the stuffthingmap, and of the semantic map made from it."""
        return f'{Path(self.file_name).stem}.png'


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

    def read(self, subset: bool) -> tuple[dict[str, Any], list[CocoImage]]:
        """Read the panoptic JSON and check that all its files are there.

        Args:
            subset: Accept another number of images than the official one.

        Returns:
            The JSON object, and its images in order.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If the JSON is not COCO's 133-class panoptic one, or
                has not the official number of images.
        """
        self.require_layout()
        content = read_json(
            self.panoptic_json, ['images', 'annotations', 'categories']
        )
        try:
            self._check_categories(content['categories'])
            images = _pair(content['images'], content['annotations'])
        except KeyError as error:
            raise ValueError(
                f'{self.panoptic_json}: an entry lacks the key {error}'
            ) from error
        except ValueError as error:
            raise ValueError(f'{self.panoptic_json}: {error}') from error
        if not subset and len(images) != NUM_IMAGES[self.split]:
            raise ValueError(
                f'{self.panoptic_json} lists {len(images):,} images but '
                f'{self.split} has {NUM_IMAGES[self.split]:,}; if it is meant '
                'to be a part of COCO, pass --subset'
            )
        for folder, names in (
            (self.images, [image.file_name for image in images]),
            (self.panoptic_pngs, [image.png_name for image in images]),
            (self.stuffthingmaps, [image.label_name for image in images]),
        ):
            require_files(names, file_sizes(folder), folder)
        return content, images

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
    images: list[dict[str, Any]], annotations: list[dict[str, Any]]
) -> list[CocoImage]:
    by_image = {entry['image_id']: entry for entry in annotations}
    ids = {entry['id'] for entry in images}
    if not len(ids) == len(images) == len(annotations) == len(by_image):
        raise ValueError(
            'expected one annotation per image, got '
            f'{len(images)} images ({len(ids)} ids) and {len(annotations)} '
            f'annotations (of {len(by_image)} images)'
        )
    if ids != set(by_image):
        raise ValueError(
            f'image ids {sorted(ids - set(by_image))[:5]} have no annotation'
        )
    return [
        CocoImage(
            id=entry['id'],
            file_name=entry['file_name'],
            size=(entry['height'], entry['width']),
            png_name=by_image[entry['id']]['file_name'],
            segments=by_image[entry['id']]['segments_info'],
        )
        for entry in images
    ]
