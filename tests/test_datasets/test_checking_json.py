import pytest

from freeseg_mm.datasets.checking_json import Finding, check_panoptic_json
from freeseg_mm.structures import Vocabulary


@pytest.fixture
def reasons(pets):
    """Write the content of the JSON and list what is wrong."""

    def check():
        pets.write_json()
        vocabulary = Vocabulary.load(pets.root / 'vocabulary.json')
        return check_panoptic_json(pets.json, vocabulary)

    return check


def test_whole_file_is_kept_as_it_is(pets, reasons):
    listing = reasons()
    assert listing.reasons == []
    assert listing.content == pets.content
    assert listing.without_annotation == 0


def test_image_without_annotation_is_no_mistake(pets, reasons):
    del pets.content['annotations'][1]
    listing = reasons()
    assert (listing.reasons, listing.without_annotation) == ([], 1)


def test_all_is_listed_at_once(pets, reasons):
    images, annotations = pets.content['images'], pets.content['annotations']
    images += [dict(images[0]), {**images[0], 'id': 8}, 'text']
    images[1]['width'] = 0
    annotations.append(dict(annotations[3]))
    annotations[0]['segments_info'] = [
        {'id': 1, 'category_id': 3},
        {'id': 1, 'category_id': 3},
        {'id': 0, 'category_id': 3},
        {'id': 256**3, 'category_id': 99},
    ]
    annotations[2]['segments_info'] = [{'id': 1}]
    listing = reasons()
    assert listing.reasons == [
        "images[6] is no JSON object: 'text'",
        'image 2 (2.jpg): height and width are (4, 0)',
        'image 1 (1.jpg): its id is listed before',
        'image 8 (1.jpg): its file is listed before',
        'annotation 1.png: segment ids [1] are listed more than once',
        'annotation 1.png: segment ids [0, 16777216] are not between 1 and '
        '16777215, which a PNG can hold',
        'annotation 1.png: category ids [99] are not in the file',
        'annotation 2.png: no usable image has its id 2',
        "annotation 3.png: a segment lacks one of ['id', 'category_id']",
        'annotation 4.png: image id 4 has an annotation before',
    ]
    kept = listing.content['annotations']
    assert [entry['image_id'] for entry in kept] == [4]


def test_categories_are_matched_by_name(pets, reasons):
    pets.content['categories'] += [
        {'id': 3, 'name': 'unicorn'},
        {'id': 50, 'name': 'cat'},
    ]
    listing = reasons()
    assert listing.reasons == [
        '2 categories have the id 3',
        "2 categories have the name 'cat'",
        "categories ['unicorn'] are not in vocabulary 'pets'",
    ]


def test_annotations_of_unknown_categories_are_counted(pets, reasons):
    pets.content['categories'][0]['name'] = 'unicorn'  # was sky
    listing = reasons()
    assert listing.reasons == [
        "categories ['unicorn'] are not in vocabulary 'pets'",
        '2 annotations have segments of those categories and were not looked '
        'at further',
    ]
    kept = listing.content['annotations']
    assert [entry['image_id'] for entry in kept] == [2, 3]


def test_finding_names_its_file_once():
    assert str(Finding('a.png', 'too small')) == 'a.png: too small'
    assert str(Finding('a.png', 'missing file a.png')) == 'missing file a.png'
