"""Predictions, read back by the readers of each tool's format."""

import base64
import json
import logging
import os
from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import shapely
from PIL import Image, ImageDraw
from pycocotools.coco import COCO
from shapely.geometry import MultiPolygon, Polygon, shape

from freeseg_mm.apis import ImageResult, Instance, PanopticSegment
from freeseg_mm.apis.exchange import mask_outlines, mask_polygons, one_ring
from freeseg_mm.apis.writer import ResultWriter
from freeseg_mm.structures import Vocabulary

NAMES = ['cat', 'a "b" & <c>', 'sky']
WORDS = Vocabulary.from_names(NAMES, things=NAMES[:2])
SIZE = (40, 60)


def drawn(*boxes, holes=()):
    mask = np.zeros(SIZE, bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    for left, top, right, bottom in holes:
        mask[top:bottom, left:right] = False
    return mask


RING = drawn((2, 2, 30, 30), holes=[(5, 5, 9, 20), (12, 8, 20, 9)])
PIECES = drawn((40, 3, 50, 20), (45, 25, 58, 38))
SPECK = drawn((33, 35, 34, 36))
MASKS = (RING, PIECES, SPECK)
SCORES = (0.875, 0.5, 0.25)
LABELS = (0, 1, 0)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / 'images' / 'photo.png'
    path.parent.mkdir()
    Image.new('RGB', SIZE[::-1], 'grey').save(path)
    return path


@pytest.fixture
def result(photo):
    return ImageResult(
        source=str(photo),
        image=np.full((*SIZE, 3), 128, np.uint8),
        vocabulary=WORDS,
        instances=tuple(
            Instance.from_mask(label, NAMES[label], score, mask)
            for label, score, mask in zip(LABELS, SCORES, MASKS, strict=True)
        ),
    )


@pytest.fixture
def write(result, tmp_path):
    """Write results in a format; its folder."""

    def run(kind, *results):
        results = results or [result]
        inputs = [
            x.image if x.source.startswith('array') else x.source
            for x in results
        ]
        writer = ResultWriter(tmp_path / 'out', [kind], inputs, WORDS)
        with writer.recording({}):
            for place, each in enumerate(results):
                written = writer.write(replace(each, place=(place, 0)))
                assert isinstance(written.outcome, ImageResult)
                assert all(path.is_file() for path in written.files)
                writer.append(written)
        assert all(path.is_file() for path in writer.finish())
        return tmp_path / 'out' / kind

    return run


def noise(count=60):
    """Masks with everything that rings can do."""
    random = np.random.default_rng(0)
    for _ in range(count):
        size = random.integers(1, 24, 2)
        yield random.random(size) < random.uniform(0.1, 0.95)


def inside(polygon, size=SIZE):
    """Pixels whose centres lie in a polygon."""
    y, x = np.indices(size) + 0.5
    return shapely.contains_xy(polygon, x, y)


def filled(outlines, size):
    canvas = np.zeros(size, np.uint8)
    for ring in outlines:
        cv2.fillPoly(canvas, [ring.astype(np.int32)], 1)
    return canvas > 0


# --- geometry ----------------------------------------------------------------


def test_polygons_by_hand():
    """A ring of eight pixels and one that touches its corner."""
    mask = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]])
    square, speck = mask_polygons(mask > 0)
    corners = [{tuple(x) for x in ring.tolist()} for ring in square]
    assert corners == [
        {(0, 0), (3, 0), (3, 3), (0, 3)},
        {(1, 1), (2, 1), (2, 2), (1, 2)},
    ]
    assert {tuple(x) for x in speck[0].tolist()} == {
        (3, 3), (4, 3), (4, 4), (3, 4),
    }  # fmt: skip
    assert mask_polygons(mask > 1) == []


def test_polygons_are_valid_and_exact():
    for mask in noise():
        whole = MultiPolygon(
            [Polygon(rings[0], rings[1:]) for rings in mask_polygons(mask)]
        )
        assert whole.is_valid
        assert whole.area == mask.sum()
        assert (inside(whole, mask.shape) == mask).all()


def test_outlines_filled_with_their_border_are_exact():
    for mask in noise():
        outlines = mask_outlines(mask)
        assert (filled(outlines, mask.shape) == mask).all()
        canvas = Image.new('1', mask.shape[::-1])
        for ring in outlines:
            points = [tuple(point) for point in ring.tolist()]
            ImageDraw.Draw(canvas).polygon(points, fill=1, outline=1)
        assert (np.asarray(canvas) == mask).all()


def test_one_ring_has_the_area_of_all():
    (rings,) = mask_polygons(RING)
    x, y = one_ring(rings).T
    area = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
    assert abs(area) == RING.sum()


# --- formats -----------------------------------------------------------------


def test_yolo(write, photo):
    """Objects of one piece are exact; others get a line between pieces."""
    supervision = pytest.importorskip('supervision')
    folder = write('yolo')
    read = supervision.DetectionDataset.from_yolo(
        str(photo.parent), str(folder / 'labels'), str(folder / 'data.yaml')
    )
    assert read.classes == NAMES
    ((_, _, found),) = read
    assert tuple(found.class_id) == LABELS
    ring, pieces, speck = found.mask
    assert (ring == RING).all()
    assert (speck == SPECK).all()
    assert pieces[PIECES].all()
    assert (pieces & ~PIECES).sum() <= 6
    # Ultralytics cuts off what supervision rounds
    line = (folder / 'labels/photo.txt').read_text().split('\n')[0].split()
    shares = np.array(line[1:], np.float32).reshape(-1, 2)
    ring = (shares * np.array(SIZE[::-1])).astype(np.int32)
    assert (filled([ring], SIZE) == RING).all()


def test_labelme(write, photo):
    """Read by supervision: labelme's own reader needs Qt."""
    supervision = pytest.importorskip('supervision')
    folder = write('labelme')
    read = supervision.DetectionDataset.from_labelme(
        str(photo.parent), str(folder)
    )
    ((_, _, found),) = read
    assert [read.classes[x] for x in found.class_id] == [
        NAMES[label] for label in LABELS
    ]
    assert (found.mask == np.array(MASKS)).all()
    content = json.loads((folder / 'photo.json').read_text())
    assert (folder / content['imagePath']).resolve() == photo
    scores = {x['group_id']: x['score'] for x in content['shapes']}
    assert tuple(scores.values()) == SCORES


def test_label_studio(write, photo, tmp_path, monkeypatch):
    """The prediction accepted, then exported by Label Studio's converter."""
    converter = pytest.importorskip('label_studio_converter')
    monkeypatch.setattr(logging.getLogger(), 'level', logging.ERROR)
    folder = write('labelstudio')
    (task,) = json.loads((folder / 'photo.json').read_text())
    assert task['data']['image'].endswith(str(photo)[1:])
    (prediction,) = task['predictions']
    assert prediction['score'] == pytest.approx(sum(SCORES) / 3)
    assert tuple(x['score'] for x in prediction['result']) == SCORES
    task.update(id=1, annotations=[{'id': 1, **prediction}])
    task['data']['image'] = str(photo)
    accepted = tmp_path / 'accepted.json'
    accepted.write_text(json.dumps([task]))
    made = converter.Converter(str(folder / 'interface.xml'), str(tmp_path))
    made.convert_to_coco(str(accepted), str(tmp_path / 'coco'), is_dir=False)
    coco = COCO(str(tmp_path / 'coco/result.json'))
    found = coco.loadAnns(coco.getAnnIds())
    names = {x['id']: x['name'] for x in coco.dataset['categories']}
    assert [names[x['category_id']] for x in found] == [
        NAMES[label] for label in LABELS
    ]
    for annotation, mask in zip(found, MASKS, strict=True):
        assert (coco.annToMask(annotation) == mask).all()
        assert annotation['area'] == pytest.approx(mask.sum())


def test_cvat(write):
    """As ``CVAT for images 1.1`` is written down."""
    tree = ElementTree.parse(write('cvat') / 'annotations.xml')
    assert [x.text for x in tree.iterfind('meta//label/name')] == NAMES
    (image,) = tree.iterfind('image')
    assert image.attrib == {
        'id': '0', 'name': 'photo.png', 'width': '60', 'height': '40',
    }  # fmt: skip
    masks = [np.zeros(SIZE, bool) for _ in SCORES]
    for found in image:
        number = int(found.get('group_id')) - 1
        assert found.get('label') == NAMES[LABELS[number]]
        assert float(found.find('attribute').text) == SCORES[number]
        if found.tag == 'polygon':
            points = found.get('points').split(';')
            outline = [
                [float(x) for x in point.split(',')] for point in points
            ]
            masks[number] |= inside(Polygon(outline))
            continue
        left, top, width, height = (
            int(found.get(key)) for key in ('left', 'top', 'width', 'height')
        )
        runs = [int(run) for run in found.get('rle').split(',')]
        values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        masks[number][top : top + height, left : left + width] = (
            values.reshape(height, width)
        )
    assert (np.array(masks) == np.array(MASKS)).all()
    assert [x.tag for x in image] == ['mask', 'polygon', 'polygon', 'polygon']


def test_cvat_by_datumaro(write, photo, monkeypatch):
    readers = os.environ.get('FREESEG_MM_READERS')
    if not readers:
        pytest.skip('FREESEG_MM_READERS: see requirements/tests.txt')
    monkeypatch.syspath_prepend(readers)
    from datumaro.plugins.data_formats.cvat.base import CvatBase

    folder = write('cvat')
    (folder / 'images').symlink_to(photo.parent)
    read = CvatBase(str(folder / 'annotations.xml'))
    (item,) = read
    assert item.id == 'photo'
    categories = next(iter(read.categories().values()))
    assert [x.name for x in categories.items] == NAMES
    masks = [np.zeros(SIZE, bool) for _ in SCORES]
    for found in item.annotations:
        number = found.group - 1
        assert found.label == LABELS[number]
        assert float(found.attributes['score']) == SCORES[number]
        if hasattr(found, 'image'):
            masks[number] |= found.image > 0
        else:
            masks[number] |= inside(Polygon(np.reshape(found.points, (-1, 2))))
    assert (np.array(masks) == np.array(MASKS)).all()


def test_geojson(write, photo):
    folder = write('geojson')
    features = json.loads((folder / 'photo.geojson').read_text())['features']
    assert [x['id'] for x in features] == [1, 2, 3]
    for feature, mask, label, score in zip(
        features, MASKS, LABELS, SCORES, strict=True
    ):
        geometry = shape(feature['geometry'])
        assert geometry.is_valid
        assert geometry.area == mask.sum()
        assert (inside(geometry) == mask).all()
        properties = feature['properties']
        assert properties['name'] == NAMES[label]
        assert properties['category_id'] == label + 1
        assert properties['score'] == score
        assert properties['image'] == str(photo)
    # RFC 7946: outer rings counterclockwise, holes clockwise
    outer, *holes = features[0]['geometry']['coordinates']
    assert shapely.LinearRing(outer).is_ccw
    assert not any(shapely.LinearRing(hole).is_ccw for hole in holes)
    assert len(holes) == 2


def test_images_of_one_name_and_without_file(write, result):
    """Two images share files; an array's pixels travel with its labels."""
    array = ImageResult(
        source='array 1',
        image=np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8),
        vocabulary=WORDS,
        segment_map=RING.astype(np.int32),
        segments=(PanopticSegment(1, 2, 'sky', False, 0.5, int(RING.sum())),),
    )
    folder = write('labelme', result, array)
    content = json.loads((folder / 'array_1.json').read_text())
    assert [x['label'] for x in content['shapes']] == ['sky']
    pixels = cv2.imdecode(
        np.frombuffer(base64.b64decode(content['imageData']), np.uint8),
        cv2.IMREAD_COLOR_RGB,
    )
    assert (pixels == array.image).all()
    text = (write('cvat', result, array) / 'annotations.xml').read_text()
    assert '<image id="1" name="array 1"' in text


def test_semantic_regions_have_no_scores(write, photo):
    result = ImageResult(
        source=str(photo),
        image=np.zeros((*SIZE, 3), np.uint8),
        vocabulary=WORDS,
        label_map=np.where(RING, 0, 255).astype(np.int32),
    )
    folder = write('labelstudio', result)
    ((prediction,),) = (
        task['predictions']
        for task in json.loads((folder / 'photo.json').read_text())
    )
    assert 'score' not in prediction
    (found,) = prediction['result']
    assert 'score' not in found
    assert found['value']['polygonlabels'] == ['cat']
