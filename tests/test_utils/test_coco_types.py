import json
import re

import pytest

from freeseg_mm.utils.coco_types import require_unique
from freeseg_mm.utils.files import read_json

LISTS = ('images', 'annotations', 'categories')


@pytest.fixture
def read(tmp_path):
    """Read a JSON with one entry of each kind, one value of it changed."""

    def read(key, name, value):
        segment = {'id': 1, 'category_id': 2, 'iscrowd': 0}
        content = {
            'images': [
                {'id': 1, 'file_name': 'a.jpg', 'height': 4, 'width': 6}
            ],
            'annotations': [
                {
                    'image_id': 1,
                    'file_name': 'a.png',
                    'segments_info': [segment],
                }
            ],
            'categories': [{'id': 2, 'name': 'cat', 'isthing': 1}],
        }
        if key == 'segments':
            segment[name] = value
        else:
            content[key][0][name] = value
        path = tmp_path / 'own.json'
        path.write_text(json.dumps(content))
        return read_json(path, LISTS)

    return read


@pytest.mark.parametrize('value', [None, '0', 'x', 2, 0.5, [], float('nan')])
@pytest.mark.parametrize(
    ('key', 'name'),
    [('segments', 'iscrowd'), ('annotations', 'iscrowd'),
     ('categories', 'isthing')],
)  # fmt: skip
def test_flags(read, key, name, value):
    message = f'{name} is {value!r}, expected 0 or 1'
    place = 'annotations[0].segments_info' if key == 'segments' else key
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(key, name, value)
    assert f'own.json: {place}[0]' in str(caught.value)


@pytest.mark.parametrize('value', [None, '48', 48.5, True, [48], {}, 1e400])
@pytest.mark.parametrize(
    ('key', 'name'),
    [('images', 'height'), ('images', 'width'), ('images', 'id'),
     ('annotations', 'image_id'), ('segments', 'category_id'),
     ('segments', 'id'), ('categories', 'id')],
)  # fmt: skip
def test_integers(read, key, name, value):
    message = f'{name} is {value!r}, expected an integer'
    with pytest.raises(ValueError, match=re.escape(message)):
        read(key, name, value)


def test_whole_floats_and_truths_are_integers(read):
    assert read('images', 'height', 48.0)['images'][0]['height'] == 48
    assert type(read('images', 'id', 1.0)['images'][0]['id']) is int
    found = read('categories', 'isthing', True)['categories'][0]['isthing']
    assert type(found) is int
    assert found == 1


@pytest.mark.parametrize('value', [3, None, '', ' ', ['cat']])
def test_names_are_text(read, value):
    with pytest.raises(ValueError, match='name is .*, expected text'):
        read('categories', 'name', value)


@pytest.mark.parametrize(
    'value', ['/etc/passwd', '../a.png', 'a/../../b', '', '.', 3, None, 'a\0b']
)
@pytest.mark.parametrize('key', ['images', 'annotations'])
def test_files_lie_below_their_folder(read, key, value):
    with pytest.raises(ValueError, match='file_name is .* below its folder'):
        read(key, 'file_name', value)
    read(key, 'file_name', 'sub/a..b.png')


@pytest.mark.parametrize(
    ('key', 'value'), [('annotations', 3), ('annotations', None)]
)
def test_segments_are_a_list_of_objects(read, key, value):
    with pytest.raises(ValueError, match='segments_info is .* a list'):
        read(key, 'segments_info', value)
    with pytest.raises(ValueError, match=r'segments_info\[0\] is no JSON'):
        read(key, 'segments_info', [value])


def test_deep_nesting(tmp_path):
    path = tmp_path / 'deep.json'
    path.write_text('[' * 100_000)
    with pytest.raises(
        ValueError, match=r'deep\.json is not.*nested too deeply'
    ):
        read_json(path)


def test_values_that_occur_again():
    require_unique([{'id': 1}, {'id': 2}], 'id')
    with pytest.raises(ValueError, match=r'id \[1\] \(1 in all\) occur more'):
        require_unique([{'id': 1}, {'id': 1}], 'id')
