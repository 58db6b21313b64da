"""Results as files: their names, and what is noted of them."""

import errno
import json
import time
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from test_export import CAT, WORDS, nothing, result  # noqa: F401 - fixtures

from freeseg_mm.apis import ImageError, ImageResult
from freeseg_mm.apis.writer import ResultWriter, merge
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.parallel import Shard

# ruff: noqa: F811


def test_files_of_all_formats(result, tmp_path):
    writer = ResultWriter(
        tmp_path / 'out/deep',
        ['png', 'json', 'coco'],
        2 * [result.source],
        WORDS,
    )
    with writer.recording({}):
        written = [
            writer.write(replace(result, place=(index, 0))) for index in (0, 1)
        ]
        for each in written:
            writer.append(each)
    first, second = (each.files for each in written)
    last = writer.finish()
    files = {
        path.relative_to(tmp_path / 'out/deep').as_posix()
        for path in (*first, *second, *last)
    }
    assert files == {
        'instances.json',
        'panoptic.json',
        *(
            f'{folder}/{name}.{"json" if folder == "json" else "png"}'
            for folder in ('pictures', 'json', 'panoptic', 'semantic')
            for name in ('pets', 'pets_2')
        ),
    }
    assert all(path.is_file() for path in (*first, *second, *last))
    out = tmp_path / 'out/deep'
    gt = COCO(out / 'instances.json')
    assert gt.getImgIds() == [1, 2]
    (annotation,) = gt.loadAnns(gt.getAnnIds(imgIds=[2]))
    np.testing.assert_array_equal(gt.annToMask(annotation), CAT)
    panoptic = json.loads((out / 'panoptic.json').read_text())
    assert [a['image_id'] for a in panoptic['annotations']] == [1, 2]
    labels = np.asarray(Image.open(out / 'semantic/pets.png'))
    np.testing.assert_array_equal(labels, result.label_map)


def test_many_classes_need_16_bits(nothing, tmp_path):
    words = Vocabulary.from_names([f'class {n}' for n in range(300)])
    labels = np.full((4, 6), 299, np.int32)
    writer = ResultWriter(tmp_path, ['coco'], ['a.png'], words)
    writer.write(ImageResult('a.png', nothing.image, words, label_map=labels))
    stored = np.asarray(Image.open(tmp_path / 'semantic/a.png'))
    np.testing.assert_array_equal(stored, labels)


@pytest.mark.parametrize(
    ('source', 'name'),
    [
        ('array 3', 'array_3'),
        ('http://host/a/b.jpg?size=3', 'b'),
        ('a/b.c.png', 'b.c'),
        ('a/photo#1.jpg', 'photo#1'),
        ('a/photo?1.jpg', 'photo?1'),
        ('..', 'image'),
        ('http://host/', 'image'),
        ('http://host/..', 'image'),
        ('a\\..\\b.png', 'a_.._b'),
        (f'{"ä" * 200}.png', 'ä' * 90),
    ],
)
def test_names_of_files(nothing, tmp_path, source, name):
    result = ImageResult(source, nothing.image, WORDS, label_map=0 * CAT)
    writer = ResultWriter(tmp_path, ['json'], [source], WORDS)
    (path,) = writer.write(result).files
    assert path == tmp_path / f'json/{name}.json'


def test_writer_refuses(result, tmp_path):
    with pytest.raises(ValueError, match=r"unknown formats \['jpg'\]"):
        ResultWriter(tmp_path, ['png', 'jpg'], [], WORDS)
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match='file is a file; give a folder'):
        ResultWriter(tmp_path / 'file', ['png'], [], WORDS)


@pytest.mark.parametrize(
    ('sources', 'expected'),
    [
        (
            ('a.jpg', 'a.png', 'a_2.jpg', 'A.gif', 'a_2.png'),
            ['a', 'a_2', 'a_2_2', 'A_3', 'a_2_3'],
        ),
        # the first would be a frame of the second
        (('b_000012.png', 'b.mp4'), ['b_000012', 'b_2_000012']),
    ],
)
def test_names_are_one_to_one(nothing, tmp_path, sources, expected):
    for shard in (Shard(), Shard(1, 2), Shard(2, 2)):
        writer = ResultWriter(tmp_path, ['json'], sources, WORDS, shard=shard)
        names = []
        for index, source in enumerate(shard.of(sources)):
            result = ImageResult(
                source,
                nothing.image,
                WORDS,
                label_map=0 * CAT,
                frame=12 if source.endswith('.mp4') else None,
                place=(index, 0),
            )
            (path,) = writer.write(result).files
            names.append(path.stem)
        assert names == shard.of(expected)


def test_many_images_of_one_name_are_told_apart_at_once(tmp_path):
    inputs = [f'{number}/image.jpg' for number in range(100_000)]
    began = time.process_time()
    writer = ResultWriter(tmp_path, ['json'], inputs, WORDS)
    assert time.process_time() - began < 10
    assert len(set(writer._names)) == len(inputs)
    assert writer._names[-1] == 'image_100000'


def test_no_input_is_overwritten(nothing, tmp_path):
    """The results of a.jpg would be the image itself, or the second."""
    (tmp_path / 'pictures').mkdir()
    other = tmp_path / 'pictures/a.png'
    other.touch()
    (tmp_path / 'link.png').symlink_to(other)
    result = ImageResult('a.jpg', nothing.image, WORDS, instances=())
    for entries in (
        [other],
        ['a.jpg', other],
        ['a.jpg', other.as_uri()],
        ['a.jpg', tmp_path / 'link.png'],
    ):
        written = ResultWriter(tmp_path, ['png'], entries, WORDS).write(result)
        assert written.files == []
        assert 'take the place of the image' in written.record['reason']
        assert isinstance(written.outcome, ImageError)


# --- Journals ---------------------------------------------------------------


@pytest.fixture
def results(result, nothing):
    """Three results and two failures."""
    outcomes = [
        result,
        ImageError('gone.png', 'no such file: gone.png'),
        replace(result, source='b/pets.png'),
        replace(result, source='c.png', instances=()),
        ImageError('bad.png', 'bad.png: not an image'),
    ]
    return [replace(x, place=(i, 0)) for i, x in enumerate(outcomes)]


def write(folder, outcomes, shard=None, *, stop=None, resume=False):
    """Write some outcomes of a shard; what is there afterwards."""
    shard = shard or Shard()
    inputs = [outcome.source for outcome in outcomes]
    writer = ResultWriter(folder, ['coco', 'json'], inputs, WORDS, shard=shard)
    own = [replace(x, place=(i, 0)) for i, x in enumerate(shard.of(outcomes))]
    with writer.recording({'weights': 'x'}, resume=resume) as done:
        for outcome in [] if done is None else own[done:stop]:
            writer.append(writer.write(outcome))
        if stop is not None:
            return done
    return writer.finish()


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.fixture
def whole(results, tmp_path):
    """Files of all results, written in one go."""
    paths = write(tmp_path / 'whole', results)
    assert [path.name for path in paths] == [
        *('instances.json', 'panoptic.json', 'failures.json'),
    ]
    return files_of(tmp_path / 'whole')


def test_failures_are_listed_and_take_no_number(whole):
    assert json.loads(whole['failures.json']) == [
        {'source': 'gone.png', 'reason': 'no such file: gone.png'},
        {'source': 'bad.png', 'reason': 'bad.png: not an image'},
    ]
    content = json.loads(whole['instances.json'])
    assert [(x['id'], x['file_name']) for x in content['images']] == [
        *((1, 'folder/pets.png'), (2, 'b/pets.png'), (3, 'c.png')),
    ]
    assert [(x['id'], x['image_id']) for x in content['annotations']] == [
        *((1, 1), (2, 2)),
    ]
    content = json.loads(whole['panoptic.json'])
    assert [x['file_name'] for x in content['annotations']] == [
        *('pets.png', 'pets_2.png', 'c.png'),
    ]
    assert not [name for name in whole if name.startswith('.predicting')]


@pytest.mark.parametrize('stops', [[0], [1, 3], [5]])
def test_going_on_gives_the_same_files(whole, results, tmp_path, stops):
    folder, before = tmp_path / 'broken', 0
    for stop in stops:
        assert write(folder, results, stop=stop, resume=True) == before
        before = stop
        # a record that was cut short
        (journal,) = folder.glob('.predicting*')
        with journal.open('a') as file:
            file.write('{"place": [4, 0], "sou')
    assert write(folder, results, resume=True)
    assert files_of(folder) == whole
    # nothing is left to do
    assert write(folder, results, resume=True) == []
    assert files_of(folder) == whole


def test_shards_give_the_same_files(whole, results, tmp_path):
    folder = tmp_path / 'shards'
    with pytest.raises(FileNotFoundError, match='shards holds no predictions'):
        merge(folder)
    for number in (2, 1, 3):
        if number != 2:
            with pytest.raises(ValueError, match='of 3 shards are not'):
                merge(folder)
        assert write(folder, results, Shard(number, 3)) == []
    paths = merge(folder)
    assert {path.name for path in paths} >= {'instances.json'}
    assert files_of(folder) == whole
    assert merge(folder) == []


def test_unfinished_shards_are_named(results, tmp_path):
    for number, stop in ((1, None), (2, 1)):
        write(tmp_path, results, Shard(number, 4), stop=stop)
    with pytest.raises(ValueError, match='3 of 4 shards .* as 2, 3, 4;'):
        merge(tmp_path)


def test_other_predictions_are_not_gone_on_with(results, tmp_path):
    write(tmp_path, results, stop=2)
    with pytest.raises(ValueError, match='is of other inputs; go on with'):
        write(tmp_path, results[:4], resume=True)
    with pytest.raises(ValueError, match='another number of shards than 2'):
        write(tmp_path, results, Shard(1, 2), resume=True)
    # but may be written over
    write(tmp_path, results[:4])
    with pytest.raises(ValueError, match='is of other inputs; go on with'):
        write(tmp_path, results, resume=True)
    content = json.loads((tmp_path / 'failures.json').read_text())
    assert len(content) == 1
    write(tmp_path, [results[0]])
    assert not (tmp_path / 'failures.json').exists()


def test_a_full_disk_ends_the_run(result, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, 'No space left on device')

    writer = ResultWriter(tmp_path, ['json'], [result.source], WORDS)
    monkeypatch.setattr('freeseg_mm.apis.writer.write_json', full)
    with pytest.raises(OSError, match='No space left'):
        writer.write(result)


@pytest.mark.parametrize('text', ['', '0/2', '3/2', '1/0', '-1/2', 'a/b', '1'])
def test_no_such_shard(text):
    with pytest.raises(ValueError, match='shard'):
        Shard.parse(text)


def test_nothing_to_merge(tmp_path):
    for folder in (tmp_path, tmp_path / 'gone', tmp_path / 'gone/file'):
        with pytest.raises(FileNotFoundError, match='no predictions to merge'):
            merge(folder)
    # as many shards as a name may say
    (tmp_path / '.predicted-1-of-999999999.jsonl').write_text('{}\n')
    with pytest.raises(ValueError, match='as 2, 3, 4, 5, 6, 7, 8, 9, 10;'):
        merge(tmp_path)


def test_files_of_one_name_are_told_apart_for_importers(result, tmp_path):
    """Else one would put the labels on the wrong image."""
    sources = ['a/x/dog.jpg', 'a/y/dog.jpg', 'cat.jpg', 'http://h/cow.jpg?1']
    writer = ResultWriter(
        tmp_path, ['coco', 'cvat'], [*sources, 'a/x/../x/dog.jpg'], WORDS
    )
    results = [
        replace(result, source=source, place=(index, 0))
        for index, source in enumerate(sources)
    ]
    results += [
        replace(result, source='a/y/dog.jpg', member='m/1.png', place=(1, 0)),
        replace(result, source='cat.jpg', frame=3, place=(2, 0)),
    ]
    with writer.recording({}):
        for each in results:
            writer.append(writer.write(each))
    writer.finish()
    expected = [
        *('x/dog.jpg', 'y/dog.jpg', 'cat.jpg', 'cow.jpg?1'),
        *('y/dog.jpg/m/1.png', 'cat_000003.png'),
    ]
    images = json.loads((tmp_path / 'panoptic.json').read_text())['images']
    assert [image['file_name'] for image in images] == expected
    root = ElementTree.parse(tmp_path / 'cvat/annotations.xml')
    assert [x.get('name') for x in root.iter('image')] == expected
