"""Predictions as files of annotation tools, and masks as polygons.

A format is given results one by one and keeps none of them: of each it makes
the files of that image, and an entry of the file that all images share.
"""

import json
import os
from base64 import b64encode
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import cv2
import numpy as np
from PIL import Image

from freeseg_mm.structures import Task
from freeseg_mm.visualization import Region

from .inputs import is_remote, local_path
from .results import ImageResult

_MIN_CORNERS = 3  # readers refuse polygons of less
# of a pixel, from its centre: found by readers that round and that cut off
_YOLO_SHIFT = 0.25


def mask_polygons(mask: np.ndarray) -> list[list[np.ndarray]]:
    """Polygons along the edges of a mask's pixels.

    They are exact: the area is the number of pixels, and the centres inside
    are the mask's. Pixels that touch at a corner alone are two pieces, so
    that each polygon is a valid one.

    Args:
        mask: (H, W), bool.

    Returns:
        Of each piece its rings, the outer one first, then holes: corners
        x, y, (K, 2) int, without the first one again.
    """
    count, pieces, boxes, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=4
    )
    polygons = []
    for number in range(1, count):
        left, top, width, height = boxes[number, :4]
        piece = pieces[top : top + height, left : left + width] == number
        # OpenCV's contours run through pixels; of two a side, these lie on
        # either side of an edge
        doubled = piece.repeat(2, 0).repeat(2, 1)
        rings, parents = _contours(doubled)
        polygons.append(
            [
                _corners((rings[i] + 1) // 2 + (left, top))
                for i in np.argsort(parents >= 0, kind='stable')
            ]
        )
    return polygons


def mask_outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Rings through the centres of a mask's border pixels, one a piece.

    They are exact for who fills with the border, as ``cv2.fillPoly`` and
    Pillow do: a hole is joined to its ring by a way there and back over
    pixels of the mask.

    Args:
        mask: (H, W), bool.

    Returns:
        Pixels x, y of each ring, (K, 2) int, at least three.
    """
    rings, parents = _contours(mask)
    outlines = []
    for index in np.flatnonzero(parents < 0):
        ring = rings[index]
        holes = [rings[i] for i in np.flatnonzero(parents == index)]
        # what lies left of a hole is joined before it
        for hole in sorted(holes, key=lambda hole: hole[:, 0].min()):
            start = int(hole[:, 0].argmin())
            x, y = hole[start]
            gaps = np.flatnonzero(~mask[y, :x])
            end = gaps[-1] + 1 if len(gaps) else 0
            at = int(np.flatnonzero((ring == (end, y)).all(1))[0])
            ring = _joined(ring, at, hole, start)
        if len(ring) > 1:
            ring = _corners(ring)
        missing = max(0, _MIN_CORNERS - len(ring))
        outlines.append(np.concatenate([ring, ring[-1:].repeat(missing, 0)]))
    return outlines


def one_ring(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Join rings to one by short ways there and back, which have no area.

    Args:
        rings: (K, 2) each, at least one.

    Returns:
        (K, 2).
    """
    whole = rings[0]
    for ring in rings[1:]:
        at = int(np.abs(whole - ring[0]).sum(1).argmin())
        start = int(np.abs(ring - whole[at]).sum(1).argmin())
        whole = _joined(whole, at, ring, start)
    return whole


def _contours(mask: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """All pixels of each border (K, 2), and the ring that it is a hole of."""
    found, tree = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    if not found:
        return [], np.zeros(0, int)
    return [ring[:, 0] for ring in found], tree[0, :, 3]


def _corners(ring: np.ndarray) -> np.ndarray:
    """Places where the direction of a ring of single steps changes."""
    ring = ring[(ring != np.roll(ring, 1, 0)).any(1)]
    steps = np.roll(ring, -1, 0) - ring
    return ring[(steps != np.roll(steps, 1, 0)).any(1)]


def _joined(
    ring: np.ndarray, at: int, other: np.ndarray, start: int
) -> np.ndarray:
    turned = np.roll(other, -start, 0)
    return np.concatenate([ring[: at + 1], turned, turned[:1], ring[at:]])


class ExchangeFormat:
    """Files of one tool, in a folder of the format's name.

    Regions are those of the instance task, else of the panoptic, else of the
    semantic one, which has no scores.
    """

    def image_files(
        self, result: ImageResult, name: str, folder: Path
    ) -> dict[str, str]:
        """Content of an image's files by their name.

        Args:
            result: The prediction.
            name: For files, of no other image.
            folder: Where they will lie.
        """
        return {}

    def entry(self, result: ImageResult, file_name: str) -> str:
        """An image's part of what is shared; a format without has none.

        Args:
            result: The prediction.
            file_name: Of the image, of no other.
        """
        return ''

    def shared_files(
        self, names: Sequence[str], entries: Iterable[str]
    ) -> dict[str, Iterable[str]]:
        """Content of the files that all images share, by name, in parts.

        Args:
            names: Of the classes.
            entries: Of all images, in order.
        """
        return {}


class Yolo(ExchangeFormat):
    """Ultralytics' labels of segments, without scores, for training.

    An object is one line, one polygon: pieces of it are joined by lines a
    pixel wide, all else is exact.
    """

    def image_files(
        self, result: ImageResult, name: str, folder: Path
    ) -> dict[str, str]:
        """A line an object: class from 0, then x, y as shares of the size."""
        lines = []
        for region in exchanged_regions(result):
            ring = one_ring(mask_outlines(region.mask)) + _YOLO_SHIFT
            shares = ring / result.size[::-1]
            numbers = ' '.join(f'{x:.7f}' for x in shares.flatten())
            lines.append(f'{region.label} {numbers}\n')
        return {f'labels/{name}.txt': ''.join(lines)}

    def shared_files(
        self, names: Sequence[str], entries: Iterable[str]
    ) -> dict[str, Iterable[str]]:
        """The data set, whose images are to lie in a folder ``images``."""
        lines = [
            f'  {label}: {json.dumps(name)}\n'
            for label, name in enumerate(names)
        ]
        head = 'path: .\ntrain: images\nval: images\nnames:\n'
        return {'data.yaml': [head, *lines]}


class Labelme(ExchangeFormat):
    """Labelme's files: polygons, the pieces of an object in one group."""

    def image_files(
        self, result: ImageResult, name: str, folder: Path
    ) -> dict[str, str]:
        """The shapes; images without a file of their own are within."""
        shapes = [
            {
                'label': result.vocabulary.names[region.label],
                'points': ring.tolist(),
                'group_id': number,
                'description': '',
                'shape_type': 'polygon',
                'flags': {},
                'mask': None,
                'score': region.score,
            }
            for number, region in enumerate(exchanged_regions(result), 1)
            for ring in mask_outlines(region.mask)
        ]
        path, data = f'{Path(name).name}.png', None
        if _has_file(result):
            parent = (folder / name).parent
            path = os.path.relpath(local_path(result.source), parent)
        else:
            data = _png(result)
        height, width = result.size
        content: dict[str, Any] = {
            'version': '5.5.0',
            'flags': {},
            'shapes': shapes,
            'imagePath': path,
            'imageData': data,
            'imageHeight': height,
            'imageWidth': width,
        }
        return {f'{name}.json': json.dumps(content)}


class LabelStudio(ExchangeFormat):
    """Label Studio's tasks with predictions, and its labelling interface.

    An object is one polygon; ways to its holes and between its pieces have no
    area.
    """

    def image_files(
        self, result: ImageResult, name: str, folder: Path
    ) -> dict[str, str]:
        """A task; images without a file or URL are within."""
        source = result.source
        if _has_file(result):
            path = str(local_path(source).resolve()).lstrip('/')
            source = f'/data/local-files/?d={quote(path)}'
        elif not is_remote(source) or result.frame is not None:
            source = f'data:image/png;base64,{_png(result)}'
        task = {'data': {'image': source}, 'predictions': [self.of(result)]}
        return {f'{name}.json': json.dumps([task])}

    @staticmethod
    def of(result: ImageResult) -> dict[str, Any]:
        """The prediction, as a machine learning backend returns it, too."""
        height, width = result.size
        regions = exchanged_regions(result)
        found = []
        for number, region in enumerate(regions, 1):
            rings = sum(mask_polygons(region.mask), [])
            points = 100 * one_ring(rings) / (width, height)
            value = {
                'points': points.tolist(),
                'closed': True,
                'polygonlabels': [result.vocabulary.names[region.label]],
            }
            entry = {
                'id': str(number),
                'from_name': 'label',
                'to_name': 'image',
                'type': 'polygonlabels',
                'original_width': width,
                'original_height': height,
                'image_rotation': 0,
                'value': value,
            }
            if region.score is not None:
                entry['score'] = region.score
            found.append(entry)
        prediction: dict[str, Any] = {'model_version': 'freeseg_mm'}
        scores = [x.score for x in regions if x.score is not None]
        if scores:
            prediction['score'] = float(np.mean(scores))
        return {**prediction, 'result': found}

    def shared_files(
        self, names: Sequence[str], entries: Iterable[str]
    ) -> dict[str, Iterable[str]]:
        """The labelling interface, for a project's settings."""
        labels = '\n'.join(
            f'    <Label value={quoteattr(name)}/>' for name in names
        )
        view = (
            '<View>\n  <Image name="image" value="$image"/>\n'
            f'  <PolygonLabels name="label" toName="image">\n{labels}\n'
            '  </PolygonLabels>\n</View>\n'
        )
        return {'interface.xml': [view]}


class Cvat(ExchangeFormat):
    """``CVAT for images 1.1``: polygons, and masks where there are holes.

    Pieces of an object are one group; the score is an attribute.
    """

    def entry(self, result: ImageResult, file_name: str) -> str:
        """The image and its shapes; z orders put the best on top."""
        regions = exchanged_regions(result)
        height, width = result.size
        lines = [
            f'name={quoteattr(file_name)} width="{width}" height="{height}">\n'
        ]
        for number, region in enumerate(regions, 1):
            name = quoteattr(result.vocabulary.names[region.label])
            shared = (
                f'label={name} source="auto" occluded="0" '
                f'z_order="{len(regions) - number}" group_id="{number}"'
            )
            score = ''
            if region.score is not None:
                score = f'<attribute name="score">{region.score}</attribute>'
            polygons = mask_polygons(region.mask)
            if any(len(rings) > 1 for rings in polygons):
                shapes = [('mask', _cvat_mask(region.mask))]
            else:
                shapes = [
                    ('polygon', f'points="{_cvat_points(outer)}"')
                    for (outer,) in polygons
                ]
            lines += [
                f'    <{kind} {shared} {place}>{score}</{kind}>\n'
                for kind, place in shapes
            ]
        return ''.join([*lines, '  </image>\n'])

    def shared_files(
        self, names: Sequence[str], entries: Iterable[str]
    ) -> dict[str, Iterable[str]]:
        """All images, after the labels and their attribute."""
        score = (
            '<attribute><name>score</name><mutable>False</mutable>'
            '<input_type>text</input_type><default_value></default_value>'
            '<values></values></attribute>'
        )
        labels = '\n'.join(
            f'    <label><name>{escape(name)}</name><type>any</type>'
            f'<attributes>{score}</attributes></label>'
            for name in names
        )
        head = (
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n'
            f'  <version>1.1</version>\n  <meta><task><labels>\n{labels}\n'
            '  </labels></task></meta>\n'
        )
        images = (
            f'  <image id="{number}" {entry}'
            for number, entry in enumerate(entries)
        )
        return {'annotations.xml': chain([head], images, ['</annotations>\n'])}


def _cvat_points(ring: np.ndarray) -> str:
    return ';'.join(f'{x},{y}' for x, y in ring.tolist())


def _cvat_mask(mask: np.ndarray) -> str:
    """Run lengths row by row in the mask's box, of background first."""
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    top, left = rows[0], columns[0]
    inside = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    flat = np.concatenate([[False], inside.flatten()])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], ends, [inside.size]]))
    height, width = inside.shape
    return (
        f'rle="{", ".join(map(str, runs))}" left="{left}" top="{top}" '
        f'width="{width}" height="{height}"'
    )


class GeoJson(ExchangeFormat):
    """GeoJSON in pixels, x to the right and y down, as QuPath reads it."""

    def image_files(
        self, result: ImageResult, name: str, folder: Path
    ) -> dict[str, str]:
        """A feature an object, with its holes and pieces."""
        features = []
        for number, region in enumerate(exchanged_regions(result), 1):
            polygons = [
                [_closed(ring, hole=index > 0) for index, ring in enumerate(x)]
                for x in mask_polygons(region.mask)
            ]
            geometry: dict[str, Any] = {
                'type': 'MultiPolygon',
                'coordinates': polygons,
            }
            if len(polygons) == 1:
                geometry = {'type': 'Polygon', 'coordinates': polygons[0]}
            category = result.categories[region.label]
            properties = {
                'objectType': 'annotation',
                'name': category['name'],
                'classification': {'name': category['name']},
                'category_id': category['id'],
                'isthing': category['isthing'],
                'score': region.score,
                'image': result.source,
            }
            features.append(
                {
                    'type': 'Feature',
                    'id': number,
                    'geometry': geometry,
                    'properties': properties,
                }
            )
        content = {'type': 'FeatureCollection', 'features': features}
        return {f'{name}.geojson': json.dumps(content)}


def _closed(ring: np.ndarray, hole: bool) -> list[list[int]]:
    """The first corner again at the end; holes turn the other way."""
    x, y = ring.T
    turns_left = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0
    if turns_left == hole:
        ring = ring[::-1]
    return np.concatenate([ring, ring[:1]]).tolist()


def exchanged_regions(result: ImageResult) -> Sequence[Region]:
    """Regions that the formats write; see :class:`ExchangeFormat`."""
    views = result.regions()
    for task in (Task.INSTANCE, Task.PANOPTIC, Task.SEMANTIC):
        if task in views:
            return [x for x in views[task].regions if x.mask.any()]
    return []


def _has_file(result: ImageResult) -> bool:
    """Tell whether the image is a file here, which viewers can show."""
    is_file = not is_remote(result.source) and result.frame is None
    return is_file and local_path(result.source).is_file()


def _png(result: ImageResult) -> str:
    """The image as a PNG in base 64."""
    content = BytesIO()
    Image.fromarray(result.image).save(content, 'PNG')
    return b64encode(content.getvalue()).decode('ascii')


EXCHANGE_FORMATS: dict[str, ExchangeFormat] = {
    'yolo': Yolo(),
    'labelme': Labelme(),
    'labelstudio': LabelStudio(),
    'cvat': Cvat(),
    'geojson': GeoJson(),
}
