"""Large images in tiles, whose results are joined to those of one image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.errors import require_whole
from freeseg_mm.utils.run_lengths import encode_mask

from .inputs import InputImage
from .results import ImageResult, Instance, PanopticSegment

LEAST_TILE = 32
MOST_OVERLAP = 0.5

# Pieces are one object where this share (IoU) of what both show agrees.
_SAME_IOU = 0.5

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the image; the last two exclusive."""


@dataclass(frozen=True)
class Tile:
    """A part of an image that is predicted by itself.

    Attributes:
        box: What the network is shown.
        own: What its result decides: the pixels that lie deeper in this
            tile than in its neighbours. These of all tiles are the image.
    """

    box: Box
    own: Box


@dataclass(frozen=True)
class Tiling:
    """Size and overlap of tiles.

    Attributes:
        side: Longest side of a tile in pixels, at least 32.
        overlap: Least share of a side that neighbours have in common, in [0,
            0.5]. What crosses a border has to be recognised by it.

    Raises:
        ValueError: If a number is out of range.
    """

    side: int
    overlap: float = 0.2

    def __post_init__(self) -> None:
        require_whole('tile', self.side, LEAST_TILE)
        if not 0 <= self.overlap <= MOST_OVERLAP:
            raise ValueError(
                f'overlap: expected a share from 0 to {MOST_OVERLAP}, got '
                f'{self.overlap!r}'
            )

    def tiles(self, size: tuple[int, int]) -> list[Tile]:
        """Cover an image, (H, W), row by row; one tile if it fits."""
        rows, columns = (self._spans(length) for length in size)
        return [
            Tile(
                (left[0], top[0], left[1], top[1]),
                (left[2], top[2], left[3], top[3]),
            )
            for top in rows
            for left in columns
        ]

    def _spans(self, length: int) -> list[tuple[int, int, int, int]]:
        """Begin and end of each tile along a side, then of what it owns."""
        side = min(self.side, length)
        stride = max(1, int(side * (1 - self.overlap)))
        count = -(-(length - side) // stride) + 1
        begins = np.linspace(0, length - side, count).round().astype(int)
        ends = begins + side
        borders = [0, *((begins[1:] + ends[:-1]) // 2).tolist(), length]
        return [
            (*span, *own)
            for span, own in zip(
                zip(begins.tolist(), ends.tolist(), strict=True),
                zip(borders[:-1], borders[1:], strict=True),
                strict=True,
            )
        ]


def cut(image: np.ndarray, box: Box) -> np.ndarray:
    """Part of an array, (H, W, ...), without a copy."""
    left, top, right, bottom = box
    return image[top:bottom, left:right]


def shared_box(one: Box, other: Box) -> Box | None:
    """Box that two have in common, or ``None``."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (
        (left, top, right, bottom) if left < right and top < bottom else None
    )


@dataclass(frozen=True, eq=False)
class _Piece:
    """Part of a thing that one tile shows.

    Attributes:
        tile: Number of the tile.
        label: Its class.
        score: In [0, 1].
        box: In the image.
        code: Its pixels inside of the box, run-length coded.
    """

    tile: int
    label: int
    score: float
    box: Box
    code: dict[str, Any]

    @classmethod
    def of(cls, tile: int, corner: Box, found: Instance) -> '_Piece':
        left, top = corner[:2]
        box = found.box
        moved = (left + box[0], top + box[1], left + box[2], top + box[3])
        code = encode_mask(found.crop)
        return cls(tile, found.label, found.score, moved, code)

    @property
    def area(self) -> int:
        return int(coco_mask.area(self.code))

    def pixels(self) -> np.ndarray:
        """Its pixels in its box, (h, w) bool."""
        return coco_mask.decode(self.code).astype(bool)


def _within(pixels: np.ndarray, own: Box, box: Box) -> np.ndarray:
    """Pixels of a crop in a box inside of its own, (h, w)."""
    left, top = own[:2]
    return cut(
        pixels, (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    )


class _Groups:
    """Pieces of all tiles, and which of them are one thing."""

    def __init__(self, tiles: list[Tile]) -> None:
        self._tiles = tiles
        self._parents: list[int] = []
        self._by_tile: dict[int, list[int]] = {}
        self.pieces: list[_Piece] = []

    def add(self, piece: _Piece) -> int:
        """Keep a piece; its number."""
        number = len(self.pieces)
        self.pieces.append(piece)
        self._parents.append(number)
        self._by_tile.setdefault(piece.tile, []).append(number)
        return number

    def connect(self, tile: int) -> None:
        """Find what the pieces of a tile continue in those before it."""
        new = self._by_tile.get(tile, [])
        for other in range(tile):
            seen = shared_box(self._tiles[tile].box, self._tiles[other].box)
            if seen is None or not new:
                continue
            pairs = [
                (iou, a, b)
                for a in new
                for b in self._by_tile.get(other, [])
                if (iou := self._agreement(a, b, seen)) >= _SAME_IOU
            ]
            taken: set[int] = set()
            for _, a, b in sorted(pairs, reverse=True):
                if taken.isdisjoint((a, b)):
                    taken |= {a, b}
                    self._parents[self.root(a)] = self.root(b)

    def _agreement(self, a: int, b: int, seen: Box) -> float:
        """IoU of two pieces of a class in what both tiles show, else 0."""
        one, other = self.pieces[a], self.pieces[b]
        both = shared_box(one.box, other.box)
        if one.label != other.label or both is None:
            return 0.0
        shown = [shared_box(x.box, seen) for x in (one, other)]
        areas, common = [], []
        for piece, box in zip((one, other), shown, strict=True):
            if box is None:
                return 0.0
            pixels = piece.pixels()
            areas.append(int(_within(pixels, piece.box, box).sum()))
            common.append(_within(pixels, piece.box, both))
        inside = int((common[0] & common[1]).sum())
        return inside / max(sum(areas) - inside, 1)

    def root(self, number: int) -> int:
        """The piece that stands for all of its thing."""
        while self._parents[number] != number:
            number = self._parents[number]
        return number

    def members(self) -> list[list[_Piece]]:
        """Pieces of each thing."""
        groups: dict[int, list[_Piece]] = {}
        for number, piece in enumerate(self.pieces):
            groups.setdefault(self.root(number), []).append(piece)
        return list(groups.values())

    def joined(
        self, pieces: list[_Piece], names: Sequence[str], size: tuple[int, int]
    ) -> Instance | None:
        """One instance of the pieces of a thing.

        Where a tile with one of the pieces decides, that piece does; the
        others only where no such tile does.
        """
        boxes = np.array([piece.box for piece in pieces])
        left, top = boxes[:, :2].min(0)
        right, bottom = boxes[:, 2:].max(0)
        canvas = np.zeros((bottom - top, right - left), bool)
        for piece in pieces:
            pixels = piece.pixels()
            for other in {x.tile for x in pieces} - {piece.tile}:
                foreign = shared_box(self._tiles[other].own, piece.box)
                if foreign is not None:
                    _within(pixels, piece.box, foreign)[:] = False
            x, y = piece.box[0] - left, piece.box[1] - top
            height, width = pixels.shape
            canvas[y : y + height, x : x + width] |= pixels
        if not canvas.any():
            return None
        found = Instance.from_mask(
            pieces[0].label, names[pieces[0].label], mean_score(pieces), canvas
        )
        a, b, c, d = found.box
        box = (int(left + a), int(top + b), int(left + c), int(top + d))
        return replace(found, box=box, size=size)


def mean_score(pieces: list[_Piece]) -> float:
    """Mean of the scores, by area."""
    areas = [piece.area for piece in pieces]
    return float(np.average([piece.score for piece in pieces], weights=areas))


class TileMerger:
    """Parts of an image, and their results joined.

    Every pixel of the label and segment maps comes from the tile that owns
    it. Pieces of a thing in two tiles are one where they agree (IoU of at
    least 0.5) in what both show; a class of stuff is one segment. Scores are
    means by area.

    Args:
        tiling: Size and overlap of the tiles.
        image: The image; it is kept as RGB alone.
        vocabulary: Classes of the results.
    """

    def __init__(
        self, tiling: Tiling, image: InputImage, vocabulary: Vocabulary
    ) -> None:
        pixels = np.ascontiguousarray(image.pixels[..., ::-1])
        self._image = replace(image, pixels=pixels)
        self._size = (pixels.shape[0], pixels.shape[1])
        self._tiles = tiling.tiles(self._size)
        self._vocabulary = vocabulary
        self._added = 0
        self._instances: _Groups | None = None
        self._things: _Groups | None = None
        self._label_map: np.ndarray | None = None
        # of stuff its label + 1, of things the number of a piece, behind
        self._segment_map: np.ndarray | None = None
        self._stuff = np.zeros((len(vocabulary), 2))  # score * area, area

    def parts(self) -> Iterator[InputImage]:
        """Cut the image, tile by tile, as the network takes it."""
        for tile in self._tiles:
            part = cut(self._image.pixels, tile.box)[..., ::-1]
            pixels = np.ascontiguousarray(part)
            yield InputImage(
                self._image.source, pixels, place=self._image.place
            )

    def add(self, result: ImageResult) -> None:
        """Take the result of the next tile."""
        number = self._added
        self._added += 1
        tile = self._tiles[number]
        own = self._within(tile)
        if result.label_map is not None:
            if self._label_map is None:
                self._label_map = np.empty(self._size, np.int32)
            cut(self._label_map, tile.own)[:] = cut(result.label_map, own)
        if result.instances is not None:
            if self._instances is None:
                self._instances = _Groups(self._tiles)
            for found in result.instances:
                self._instances.add(_Piece.of(number, tile.box, found))
            self._instances.connect(number)
        if result.segment_map is not None and result.segments is not None:
            self._add_segments(number, result)

    def _add_segments(self, number: int, result: ImageResult) -> None:
        assert result.segment_map is not None
        assert result.segments is not None
        if self._segment_map is None or self._things is None:
            self._segment_map = np.empty(self._size, np.int32)
            self._things = _Groups(self._tiles)
        tile, first_thing = self._tiles[number], len(self._vocabulary) + 1
        values = np.zeros(len(result.segments) + 1, np.int32)
        for segment in result.segments:
            if not segment.is_thing:
                values[segment.id] = segment.label + 1
                weight = (segment.score * segment.area, segment.area)
                self._stuff[segment.label] += weight
                continue
            found = Instance.from_mask(
                segment.label,
                segment.name,
                segment.score,
                result.segment_mask(segment),
            )
            piece = self._things.add(_Piece.of(number, tile.box, found))
            values[segment.id] = first_thing + piece
        self._things.connect(number)
        owned = cut(result.segment_map, self._within(tile))
        cut(self._segment_map, tile.own)[:] = values[owned]

    @staticmethod
    def _within(tile: Tile) -> Box:
        """Box that a tile owns, in the pixels of the tile."""
        left, top = tile.box[:2]
        a, b, c, d = tile.own
        return (a - left, b - top, c - left, d - top)

    def finish(self) -> ImageResult:
        """Result of the whole image."""
        names = self._vocabulary.names
        instances = None
        if self._instances is not None:
            joined = [
                self._instances.joined(pieces, names, self._size)
                for pieces in self._instances.members()
            ]
            instances = tuple(
                sorted(
                    (found for found in joined if found is not None),
                    key=lambda found: -found.score,
                )
            )
        image, segments = self._image, None
        notes = image.notes
        if len(self._tiles) > 1:
            notes = (*notes, f'predicted in {len(self._tiles)} tiles')
        if self._segment_map is not None:
            segments = tuple(self._number_segments())
        return ImageResult(
            source=image.source,
            image=image.pixels,
            vocabulary=self._vocabulary,
            label_map=self._label_map,
            instances=instances,
            segment_map=self._segment_map,
            segments=segments,
            notes=notes,
            frame=image.frame,
            seconds=image.seconds,
            member=image.member,
            place=image.place,
        )

    def _number_segments(self) -> Iterator[PanopticSegment]:
        """Number the segments from 1, in the map as well."""
        assert self._segment_map is not None
        assert self._things is not None
        first_thing = len(self._vocabulary) + 1
        pieces = self._things.pieces
        groups = {
            label + 1: [label + 1] for label in range(len(self._vocabulary))
        }
        for number in range(len(pieces)):
            root = first_thing + self._things.root(number)
            groups.setdefault(root, []).append(first_thing + number)
        areas = np.zeros(first_thing + len(pieces), np.int64)
        for rows in self._segment_map:
            areas += np.bincount(rows, minlength=len(areas))
        numbers = np.zeros(len(areas), np.int32)
        found: list[PanopticSegment] = []
        for root, values in groups.items():
            area = int(areas[values].sum())
            if not area:
                continue
            number = len(found) + 1
            numbers[values] = number
            if root < first_thing:
                label = root - 1
                total, weight = self._stuff[label]
                score = float(total / weight)
            else:
                members = [pieces[value - first_thing] for value in values]
                label, score = members[0].label, mean_score(members)
            found.append(
                PanopticSegment(
                    id=number,
                    label=label,
                    name=self._vocabulary.names[label],
                    is_thing=self._vocabulary.is_thing[label],
                    score=score,
                    area=area,
                )
            )
        for rows in self._segment_map:
            rows[:] = numbers[rows]
        yield from found
