import pytest

from freeseg_mm.datasets.preparation.coco import build_merge_report, summarize
from freeseg_mm.datasets.preparation.coco_merge import fine_categories

PERSON, ROAD, TREE = 1, 149, 169


def segment(category_id, area, refilled):
    return {'category_id': category_id, 'area': area, 'refilled': refilled}


@pytest.fixture
def report():
    """Two images of 100 pixels; one official segment had no pixel."""
    annotations = [
        {
            'segments_info': [
                segment(PERSON, 20, 0),
                segment(ROAD, 30, 10),
                segment(TREE, 40, 40),
            ],
            'coco_stuff': {'labelled': 95, 'covered': 88},
        },
        {
            'segments_info': [segment(PERSON, 5, 0), segment(ROAD, 50, 50)],
            'coco_stuff': {'labelled': 65, 'covered': 40},
        },
    ]
    return build_merge_report('val2017', 200, annotations, 4)


def test_counts(report):
    classes = report.pop('classes')
    assert report == {
        'split': 'val2017',
        'images': 2,
        'segments': 5,
        # 4 official ones; person, road and person have official pixels
        'segments_without_pixels': 1,
        # 20 + 20 + 5 and 10 + 40 + 50 of 200
        'pixels': {
            'all': 200,
            'panoptic': 45,
            'coco_stuff': 100,
            'void': 55,
        },
        'coco_stuff': {'labelled': 160, 'covered': 128},
    }
    assert list(classes) == list(fine_categories().values())
    present = {
        name: count for name, count in classes.items() if any(count.values())
    }
    assert present == {
        'person': {'panoptic': 25, 'coco_stuff': 0},
        'road': {'panoptic': 20, 'coco_stuff': 60},
        'tree': {'panoptic': 0, 'coco_stuff': 40},
    }


def test_summary(report):
    lines = summarize(report, num_classes=2)
    assert lines[:4] == [
        'val2017: 2 images, 5 segments',
        '  pixels: 22.50 % kept from panoptic, 50.00 % refilled from '
        'COCO-Stuff, 27.50 % void',
        '  80.00 % of the pixels that COCO-Stuff labels are covered',
        '  1 official segments have no pixel in their PNG and were left out',
    ]
    assert [line.split() for line in lines[4:]] == [
        ['road', '20', 'panoptic', '60', 'COCO-Stuff'],
        ['tree', '0', 'panoptic', '40', 'COCO-Stuff'],
    ]


def test_summary_of_nothing_divides_by_nothing():
    lines = summarize(build_merge_report('val2017', 0, [], 0))
    assert lines[0] == 'val2017: 0 images, 0 segments'
    assert lines[1].startswith('  pixels: none kept from panoptic')
