"""Importing one's own data, of each kind."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from freeseg_mm.datasets.preparation.own_coco import (
    import_instances,
    import_panoptic,
)
from freeseg_mm.datasets.preparation.own_data import (
    ImportOptions,
    import_semantic,
)
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import (
    decode_panoptic_png,
    encode_panoptic_png,
)

SIZE = (4, 6)
CAT, CROWD, GRASS = 300, 7, 70000
IDS = np.array(
    [
        [GRASS, CAT, CAT, GRASS, CROWD, CROWD],
        [GRASS, CAT, CAT, GRASS, CROWD, CROWD],
        [GRASS, GRASS, GRASS, GRASS, 0, 0],
        [GRASS, GRASS, GRASS, GRASS, 0, 0],
    ]
)


def box(x, y, width, height):
    """A rectangle as COCO's polygon."""
    right, low = x + width, y + height
    return [[x, y, right, y, right, low, x, low]]


class OwnTree:
    """One's own images, and labels of every kind."""

    def __init__(self, root):
        self.root = root
        self.images = root / 'images'
        self.masks = root / 'masks'
        self.pngs = root / 'pngs'
        self.classes = root / 'classes.txt'
        self.json = root / 'labels.json'
        for folder in (self.images, self.masks, self.pngs):
            folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        for name in ('a.jpg', 'b.png'):
            pixels = rng.integers(0, 256, (*SIZE, 3), np.uint8)
            Image.fromarray(pixels).save(self.images / name)
        labels = np.array([[1, 1, 2, 2, 3, 9]] * 4, np.uint8)
        for stem in 'ab':
            Image.fromarray(labels).save(self.masks / f'{stem}.png')
            encode_panoptic_png(IDS, self.pngs / f'{stem}.png')
        self.classes.write_text('cat\n\n sky \ngrass\n')
        self.listed = [
            {'id': 5, 'file_name': 'b.png', 'height': 4, 'width': 6},
            {'id': 2, 'file_name': 'a.jpg', 'height': 4, 'width': 6},
        ]
        self.panoptic = {
            'images': self.listed,
            'annotations': [
                {
                    'image_id': id_,
                    'file_name': name,
                    'segments_info': [
                        {'id': CAT, 'category_id': 9, 'iscrowd': 0},
                        {'id': CROWD, 'category_id': 9, 'iscrowd': 1},
                        {'id': GRASS, 'category_id': 4},
                    ],
                }
                for id_, name in ((2, 'a.png'), (5, 'b.png'))
            ],
            'categories': [
                {'id': 9, 'name': 'cat', 'isthing': 1},
                {'id': 4, 'name': 'grass', 'isthing': 0},
            ],
        }
        rle = coco_mask.encode(np.asfortranarray(np.eye(4, 6, dtype=np.uint8)))
        self.instances = {
            'images': self.listed,
            'annotations': [
                {
                    'id': 0,
                    'image_id': 2,
                    'category_id': 9,
                    'segmentation': box(0, 0, 2, 2),
                },
                {
                    'id': 1,
                    'image_id': 2,
                    'category_id': 4,
                    'segmentation': box(0, 0, 4, 4),
                    'iscrowd': 0,
                },
                {
                    'id': 2,
                    'image_id': 5,
                    'category_id': 4,
                    'segmentation': {
                        'size': [4, 6],
                        'counts': rle['counts'].decode(),
                    },
                    'iscrowd': 1,
                },
            ],
            'categories': [
                {'id': 9, 'name': 'cat'},
                {'id': 4, 'name': 'dog'},
            ],
        }

    def write(self, content):
        self.json.write_text(json.dumps(content))

    def import_semantic(self, options, **changes):
        settings = {
            'images': self.images,
            'masks': self.masks,
            'classes': self.classes,
            'first_label': 1,
            'ignore_label': 9,
        }
        return import_semantic(options, **(settings | changes))

    def import_panoptic(self, options, **changes):
        self.write(self.panoptic)
        settings = {
            'images': self.images,
            'json_path': self.json,
            'pngs': self.pngs,
        }
        return import_panoptic(options, **(settings | changes))

    def import_instances(self, options, **changes):
        self.write(self.instances)
        settings = {'images': self.images, 'json_path': self.json}
        return import_instances(options, **(settings | changes))


@pytest.fixture
def own(tmp_path):
    return OwnTree(tmp_path / 'own')


@pytest.fixture
def options(tmp_path):
    return ImportOptions(tmp_path / 'pets', say=lambda text: None)


@pytest.fixture
def prepared(options):
    """Read what an import wrote."""

    class Prepared:
        root = options.target
        annotations = options.target / 'annotations'

        def json(self, kind):
            path = self.annotations / f'{kind}_train.json'
            return json.loads(path.read_text())

        def ids(self, name):
            return decode_panoptic_png(
                self.annotations / 'panoptic_train' / name
            )

        def classes(self, name):
            with Image.open(
                self.annotations / 'semantic_train' / name
            ) as image:
                return np.array(image)

        def vocabulary(self):
            return Vocabulary.load(self.root / 'vocabulary.json')

    return Prepared()


KINDS = ('semantic', 'panoptic', 'instances')


class TestEveryKind:
    @pytest.fixture(params=KINDS)
    def run(self, request, own, options):
        """Import one kind, with changed options."""
        function = getattr(own, f'import_{request.param}')
        return lambda **changes: function(replace(options, **changes))

    def test_second_run_does_nothing(self, run):
        first, second = run(), run()
        assert (first.num_written, second.num_written) == (2, 0)
        assert first.summary == second.summary

    def test_number_of_workers_does_not_matter(self, run, tmp_path):
        for workers, name in ((1, 'one/pets'), (2, 'two/pets')):
            run(target=tmp_path / name, workers=workers)
        one, two = (
            {
                path.relative_to(root): path.read_bytes()
                for path in root.rglob('*.*')
                if not path.is_symlink()
            }
            for root in (tmp_path / 'one', tmp_path / 'two')
        )
        assert one == two

    def test_val_joins_train(self, run, prepared):
        run()
        before = (prepared.root / 'vocabulary.json').read_bytes()
        run(split='val', copy=True)
        assert (prepared.root / 'vocabulary.json').read_bytes() == before
        assert (prepared.annotations / 'panoptic_val.json').is_file()
        assert (prepared.root / 'val/b.png').is_file()
        assert (prepared.root / 'train').is_symlink()
        assert not (prepared.root / 'val').is_symlink()

    def test_unseen_classes(self, run, prepared):
        run(unseen=['cat'])
        words = prepared.vocabulary()
        flags = zip(words.names, words.is_seen, strict=True)
        assert [name for name, seen in flags if not seen] == ['cat']

    @pytest.mark.parametrize('orientation', range(2, 9))
    def test_turned_image_is_refused(self, run, own, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = own.images / 'a.jpg'
        with Image.open(path) as image:
            image.save(path, exif=exif)
        with pytest.raises(
            ValueError,
            match=re.escape(
                f'image {path} has EXIF orientation {orientation}'
            ),
        ):
            run()

    def test_missing_image_is_named(self, run, own, prepared):
        (own.images / 'a.jpg').unlink()
        with pytest.raises(
            FileNotFoundError, match=f'missing file {own.images}/a'
        ):
            run()
        assert not prepared.root.exists()


class TestSemantic:
    def test_labels_become_positions(self, own, options, prepared):
        part = own.import_semantic(options, things=['cat'])
        assert prepared.vocabulary() == Vocabulary.from_names(
            ['cat', 'sky', 'grass'], ['cat'], (), name='pets'
        )
        assert prepared.classes('a.png')[0].tolist() == [0, 0, 1, 1, 2, 255]
        assert prepared.ids('b.png')[0].tolist() == [1, 1, 2, 2, 3, 0]
        assert part.summary[-1] == (
            '  serves for: semantic (semantic PNGs tell no objects apart)'
        )
        (first, _) = prepared.json('panoptic')['annotations']
        assert [
            (s['category_id'], s['iscrowd'], s.get('exact'))
            for s in first['segments_info']
        ] == [(1, 1, 1), (2, 0, None), (3, 0, None)]

    def test_without_things_panoptic_is_as_good(self, own, options):
        part = own.import_semantic(options)
        assert part.summary[-1] == (
            '  serves for: semantic, panoptic (there are no things)'
        )

    def test_vocabulary_as_list_of_classes(self, own, options, prepared):
        path = own.root / 'classes.json'
        path.write_text(
            '{"name": "mine", "classes": ["cat", "sky", "grass"],'
            ' "things": ["cat"], "unseen": ["sky"],'
            ' "synonyms": {"cat": ["kitten"]}}'
        )
        own.import_semantic(options, classes=path)
        assert prepared.vocabulary() == Vocabulary.load(path)

    @pytest.mark.parametrize(
        ('text', 'message'),
        [
            (b'\n\n', "'pets' is empty"),
            (b'cat\nsky\nCat', r"more than once: \['cat'\]"),
            (b'caf\xe9', 'expected UTF-8 text with one class a line'),
        ],
    )
    def test_refuses_a_list_of_classes(self, own, options, text, message):
        own.classes.write_bytes(text)
        with pytest.raises(ValueError, match=message) as caught:
            own.import_semantic(options)
        assert str(own.classes) in str(caught.value)

    def test_unknown_thing(self, own, options):
        with pytest.raises(ValueError, match=r"things \['cow'\] are none of"):
            own.import_semantic(options, things=['cow'])

    def test_unknown_label(self, own, options):
        path = own.masks / 'b.png'
        Image.new('L', (6, 4), 4).save(path)
        with pytest.raises(
            ValueError,
            match=re.escape(
                f'{path} has label 4; expected 1 to 3 for the 3 classes and '
                '9 (ignored)'
            ),
        ):
            own.import_semantic(options)

    @pytest.mark.parametrize('lost', ['images/a.jpg', 'masks/a.png'])
    def test_each_image_has_its_mask(self, own, options, lost):
        (own.root / lost).unlink()
        stem = (own.root / lost).with_suffix('')
        with pytest.raises(FileNotFoundError, match=f'missing file {stem}'):
            own.import_semantic(options)

    def test_missing_folder(self, own, options):
        with pytest.raises(FileNotFoundError, match='missing folder'):
            own.import_semantic(options, masks=own.root / 'none')

    def test_images_of_one_name(self, own, options):
        (own.images / 'a.jpeg').write_bytes(
            (own.images / 'a.jpg').read_bytes()
        )
        with pytest.raises(ValueError, match='a.jpeg and a.jpg have one;'):
            own.import_semantic(options)

    @pytest.mark.parametrize('suffix', ['.tif', '.tiff', '.png'])
    def test_16_bits_hold_more_classes_than_255(
        self, own, options, prepared, suffix
    ):
        labels = np.array([[0, 254, 255, 256, 299, 65535]] * 4, np.uint16)
        for stem in 'ab':
            (own.masks / f'{stem}.png').unlink()
            Image.fromarray(labels).save(own.masks / f'{stem}{suffix}')
        own.classes.write_text('\n'.join(f'class {i}' for i in range(300)))
        own.import_semantic(options, first_label=0, ignore_label=None)
        # class 255 is one as all others, 65535 is ignored
        np.testing.assert_array_equal(
            decode_panoptic_png(prepared.annotations / 'panoptic_train/a.png'),
            [[1, 255, 256, 257, 300, 0]] * 4,
        )
        assert not list((prepared.annotations / 'semantic_train').iterdir())

    def test_ignored_is_the_largest_of_8_bits(self, own, options, prepared):
        labels = np.array([[0, 0, 1, 1, 2, 255]] * 4, np.uint8)
        for stem in 'ab':
            Image.fromarray(labels).save(own.masks / f'{stem}.png')
        own.import_semantic(options, first_label=0, ignore_label=None)
        np.testing.assert_array_equal(
            decode_panoptic_png(prepared.annotations / 'panoptic_train/a.png'),
            [[1, 1, 2, 2, 3, 0]] * 4,
        )

    def test_32_bits_are_refused_beyond_16(self, own, options):
        (own.masks / 'a.png').unlink()
        labels = np.array([[0, 0, 0, 0, 0, 65536]] * 4, np.int32)
        Image.fromarray(labels).save(own.masks / 'a.tif')
        with pytest.raises(ValueError, match='a.tif has values 0 to 65536; '):
            own.import_semantic(options)

    def test_images_of_a_list(self, own, options, prepared):
        names = own.root / 'val.txt'
        names.write_text('\nJPEGImages/b.jpg and more\n')
        (own.masks / 'a.png').unlink()  # of no matter
        own.import_semantic(options, names=names)
        content = json.loads(
            (prepared.annotations / 'panoptic_train.json').read_text()
        )
        assert [i['file_name'] for i in content['images']] == ['b.png']
        names.write_text('b\nc')
        with pytest.raises(
            FileNotFoundError, match='missing file .*masks/c.p'
        ):
            own.import_semantic(options, names=names)
        for text, message in (('\n', 'is empty'), ('b\nb', 'more than once')):
            names.write_text(text)
            with pytest.raises(ValueError, match=f'val.txt .*{message}'):
                own.import_semantic(options, names=names)

    def test_no_image(self, own, options):
        for path in (*own.images.iterdir(), *own.masks.iterdir()):
            path.unlink()
        with pytest.raises(ValueError, match='there are no images'):
            own.import_semantic(options)


class TestPanoptic:
    def test_segments_stay(self, own, options, prepared):
        part = own.import_panoptic(options)
        assert part.summary[-1] == (
            '  serves for: semantic, instance, panoptic'
        )
        np.testing.assert_array_equal(prepared.ids('a.png'), IDS)
        # by category id: grass, cat; a rough crowd teaches no class
        assert prepared.vocabulary().names == ('grass', 'cat')
        assert prepared.classes('a.png')[0].tolist() == [0, 1, 1, 0, 255, 255]
        content = prepared.json('panoptic')
        assert [i['id'] for i in content['images']] == [5, 2]
        assert [
            (s['id'], s['category_id'], s['iscrowd'])
            for s in content['annotations'][1]['segments_info']
        ] == [(CAT, 2, 0), (CROWD, 2, 1), (GRASS, 1, 0)]
        objects = prepared.json('instances')['annotations']
        assert [
            (o['id'], o['image_id'], o['category_id'], o['iscrowd'])
            for o in objects
        ] == [(1, 5, 2, 0), (2, 5, 2, 1), (3, 2, 2, 0), (4, 2, 2, 1)]

    def test_things_may_be_given(self, own, options, prepared):
        for category in own.panoptic['categories']:
            del category['isthing']
        own.import_panoptic(options, things=['grass'])
        assert prepared.vocabulary().is_thing == (True, False)

    def test_many_classes_have_no_semantic_pngs(self, own, options, prepared):
        own.panoptic['categories'] += [
            {'id': 1000 + i, 'name': f'word {i}', 'isthing': 0}
            for i in range(300)
        ]
        assert own.import_panoptic(options).num_written == 2
        assert not list((prepared.annotations / 'semantic_train').iterdir())
        assert own.import_panoptic(options).num_written == 0

    def test_other_json_is_imported_anew(self, own, options, prepared):
        own.import_panoptic(options)
        for annotation in own.panoptic['annotations']:
            annotation['segments_info'][0]['category_id'] = 4
        assert own.import_panoptic(options).num_written == 2
        assert len(prepared.json('instances')['annotations']) == 2

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            (
                lambda c: c['annotations'].pop(0),
                'labels.json: image a.jpg has no annotation',
            ),
            (
                lambda c: c['categories'].clear(),
                'labels.json: expected categories with an id each, got 0',
            ),
            (
                lambda c: c['categories'][0].pop('isthing'),
                "labels.json: an entry lacks the key 'isthing'",
            ),
            (
                lambda c: c['categories'].append({'id': 1, 'name': 'cat'}),
                "an entry lacks the key 'isthing'",
            ),
            (
                lambda c: c['images'][0].update(height=5),
                'b.png: size (H, W) is (4, 6) but its annotation says (5, 6)',
            ),
            (
                lambda c: c['images'].append(c['images'][0]),
                'image b.png is listed twice',
            ),
            (
                lambda c: c['images'].append(
                    {**c['images'][0], 'file_name': 'c.png'}
                ),
                'labels.json: id [5] (1 in all) occur more than once',
            ),
            (
                lambda c: c['annotations'].append(c['annotations'][0]),
                'labels.json: image_id [',
            ),
            (
                lambda c: c['annotations'][0]['segments_info'].pop(0),
                'a.png: pixels have segment ids [300] that the JSON does',
            ),
            (
                lambda c: c['annotations'][0]['segments_info'][0].update(id=0),
                f'segment ids [0, {CROWD}, {GRASS}]; expected each once and',
            ),
            (
                lambda c: c['annotations'][0]['segments_info'][0].update(
                    category_id=3
                ),
                'segment 300 of a.png has category id 3, which is not among',
            ),
        ],
    )
    def test_refuses(self, own, options, change, message):
        change(own.panoptic)
        with pytest.raises(ValueError, match=re.escape(message)):
            own.import_panoptic(options)

    def test_sources_are_not_written_over(self, own, options):
        folder = options.target / f'annotations/panoptic_{options.split}'
        folder.mkdir(parents=True)
        for path in own.pngs.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        with pytest.raises(ValueError, match='written over by its own'):
            own.import_panoptic(options, pngs=folder)

    def test_missing_png(self, own, options):
        (own.pngs / 'a.png').unlink()
        with pytest.raises(
            FileNotFoundError, match=f'missing file {own.pngs}/a.png'
        ):
            own.import_panoptic(options)


class TestInstances:
    def test_small_objects_lie_above(self, own, options, prepared):
        part = own.import_instances(options)
        assert prepared.vocabulary() == Vocabulary.from_names(
            ['dog', 'cat', 'background'], ['dog', 'cat'], (), name='pets'
        )
        # the cat (1) of 2 x 2 before the dog (2) of 4 x 4, and the rest (3)
        assert prepared.ids('a.png').tolist() == [
            [1, 1, 2, 2, 3, 3],
            [1, 1, 2, 2, 3, 3],
            [2, 2, 2, 2, 3, 3],
            [2, 2, 2, 2, 3, 3],
        ]
        assert prepared.classes('a.png')[0].tolist() == [1, 1, 0, 0, 2, 2]
        assert part.summary[-1] == (
            '  serves for: instance (the JSON has objects only; the rest is '
            "'background')"
        )

    def test_metric_sees_objects_whole(self, own, options, prepared):
        own.import_instances(options)
        objects = prepared.json('instances')['annotations']
        assert [
            (o['id'], o['image_id'], o['category_id'], o['iscrowd'], o['area'])
            for o in objects
        ] == [(1, 5, 1, 1, 4), (2, 2, 2, 0, 4), (3, 2, 1, 0, 16)]
        dog = coco_mask.decode(objects[2]['segmentation'])
        assert dog[:, :4].all()
        assert not dog[:, 4:].any()

    def test_crowd_teaches_no_class(self, own, options, prepared):
        own.import_instances(options)
        crowd = np.eye(4, 6, dtype=bool)
        assert (prepared.ids('b.png')[crowd] == 1).all()
        assert (prepared.classes('b.png')[crowd] == 255).all()
        assert (prepared.classes('b.png')[~crowd] == 2).all()

    def test_rest_may_be_ignored(self, own, options, prepared):
        part = own.import_instances(options, rest=None)
        assert prepared.vocabulary().names == ('dog', 'cat')
        assert prepared.ids('a.png')[0].tolist() == [1, 1, 2, 2, 0, 0]
        assert part.summary[-1] == (
            '  serves for: instance (the JSON has objects only)'
        )

    def test_name_of_the_rest_is_taken(self, own, options):
        with pytest.raises(ValueError, match=r"more than once: \['cat'\]"):
            own.import_instances(options, rest='cat')

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            (
                {'segmentation': []},
                'annotations [0] (1 in all) have no segmentation',
            ),
            (
                {'segmentation': None},
                'ignored (--ignore-rest), which leaves these annotations out',
            ),
            (
                {'segmentation': {'size': [4, 5], 'counts': [20]}},
                'labels.json: annotation 0: its segmentation is unusable',
            ),
            (
                {'segmentation': [[0, 0, 1e9, 0, 1e9, 1e9]]},
                'annotation 0: its segmentation is unusable: it is no polygon',
            ),
            (
                {'image_id': 3},
                'labels.json: annotation 0 has image_id 3, which is not',
            ),
            (
                {'category_id': 3},
                'labels.json: annotation 0 has category_id 3, which is not',
            ),
        ],
    )
    def test_refuses(self, own, options, change, message):
        own.instances['annotations'][0].update(change)
        with pytest.raises(ValueError, match=re.escape(message)):
            own.import_instances(options)

    def test_missing_segmentation(self, own, options, prepared):
        """Only where the rest is ignored no pixel is taught wrongly."""
        del own.instances['annotations'][0]['segmentation']
        with pytest.raises(
            ValueError, match=r'labels.json: annotations \[0\] .*--ignore-rest'
        ):
            own.import_instances(options)
        said = []
        own.import_instances(replace(options, say=said.append), rest=None)
        assert said[0] == (
            'left out: 1 annotations with no segmentation, as [0]'
        )
        assert prepared.ids('a.png')[0].tolist() == [1, 1, 1, 1, 0, 0]

    @pytest.mark.parametrize(
        'flat',
        [
            [[1, 1, 3, 1, 2, 1]],
            [[1, 1, 3, 1]],
            box(50, 50, 2, 2),
            {'size': [4, 6], 'counts': [24]},
        ],
    )
    def test_mask_without_a_pixel(self, own, options, prepared, flat):
        own.instances['annotations'][0]['segmentation'] = flat
        said = []
        own.import_instances(replace(options, say=said.append))
        assert said[0] == 'left out: 1 annotations with no pixel, as [0]'
        assert len(prepared.json('instances')['annotations']) == 2

    def test_root_category_of_roboflow(self, own, options, prepared):
        for category in own.instances['categories']:
            category['supercategory'] = 'pets'
        root = {'id': 0, 'name': 'pets', 'supercategory': 'none'}
        own.instances['categories'].insert(0, root)
        said = []
        own.import_instances(replace(options, say=said.append))
        assert said[0].startswith("left out: category 'pets' (id 0), which")
        assert prepared.vocabulary().names == ('dog', 'cat', 'background')

    def test_root_category_with_an_object_is_a_class(
        self, own, options, prepared
    ):
        for category in own.instances['categories']:
            category['supercategory'] = 'pets'
        root = {'id': 0, 'name': 'pets', 'supercategory': 'none'}
        own.instances['categories'].insert(0, root)
        own.instances['annotations'][0]['category_id'] = 0
        own.import_instances(options)
        assert 'pets' in prepared.vocabulary().names

    def test_real_objects(self, samples_dir, options, prepared):
        folder = samples_dir / 'coco_stuff200'
        path = folder / 'annotations/instances_val2017.json'
        part = import_instances(
            replace(options, workers=2),
            images=folder / 'val2017',
            json_path=path,
        )
        assert part.num_written == 100
        theirs = json.loads(path.read_text())['annotations']
        ours = prepared.json('instances')['annotations']
        assert len(ours) == len(theirs)
        errors = []
        for image_id in {o['image_id'] for o in theirs}:
            first, second = (
                [o['area'] for o in found if o['image_id'] == image_id]
                for found in (ours, theirs)
            )
            # COCO's area is the polygons', not that of their pixels
            errors += list(abs(np.divide(first, second) - 1))
        assert np.median(errors) < 0.01
        assert np.quantile(errors, 0.95) < 0.1
