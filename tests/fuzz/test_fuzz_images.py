"""Images as paths, URLs, arrays and Pillow's; in folders; of a dataset."""

import io
import struct
import tarfile
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from fuzzing import Case, fuzz, mutated_bytes
from PIL import Image, ImageOps

from freeseg_mm.apis.inputs import EXTENSIONS, list_images, read_image
from freeseg_mm.apis.results import ImageError, ImageResult
from freeseg_mm.apis.video import pending_images
from freeseg_mm.cli.webdemo.form import Limits
from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.utils.open_image import FORMATS, open_image, read_rgb

SIZE = 9, 14  # (H, W)
FILES = {
    'rgb.png': ('RGB', {}),
    'grey.png': ('L', {}),
    'palette.png': ('P', {}),
    'alpha.png': ('RGBA', {}),
    'bits.png': ('1', {}),
    'two_bytes.png': ('I;16', {}),
    'photo.jpg': ('RGB', {}),
    'grey.jpg': ('L', {}),
    'inks.jpg': ('CMYK', {}),
    'waves.jpg': ('RGB', {'progressive': True}),
    'plain.bmp': ('RGB', {}),
    'one.gif': ('P', {}),
    'colours.ppm': ('RGB', {}),
    'grey.pgm': ('L', {}),
    'plain.tif': ('RGB', {}),
    'packed.tif': ('RGB', {'compression': 'tiff_lzw'}),
    'deflated.tiff': ('L', {'compression': 'tiff_adobe_deflate'}),
    'fractions.tif': ('F', {}),
    'loss.webp': ('RGB', {}),
    'exact.webp': ('RGB', {'lossless': True}),
    'tiles.avif': ('RGB', {}),
}


@pytest.fixture(scope='module')
def seeds():
    """Content of whole files by name, and the sizes that viewers show."""
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8))
    found = {}
    for name, (mode, options) in FILES.items():
        image = colours.convert('L').convert(mode)
        if mode in ('RGB', 'RGBA', 'CMYK', 'P'):
            image = colours.convert(mode)
        suffix = Path(name).suffix
        kind = Image.registered_extensions()[suffix]
        if kind not in FORMATS:
            continue
        turns = (1, 6) if suffix in ('.jpg', '.png', '.webp') else (1,)
        for turn in turns:
            exif = Image.Exif()
            exif[0x0112] = turn
            file = io.BytesIO()
            image.save(file, kind, **options, exif=exif)
            found[f'{turn}_{name}'] = (
                file.getvalue(),
                SIZE if turn == 1 else SIZE[::-1],
            )
    file = io.BytesIO()
    frames = [colours, ImageOps.flip(colours)]
    frames[0].save(file, 'GIF', save_all=True, append_images=frames[1:])
    found['1_frames.gif'] = file.getvalue(), SIZE
    return found


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """Content of a video of four frames."""
    path = tmp_path_factory.mktemp('clip') / 'clip.avi'
    codec = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), codec, 5, (32, 16))
    for level in (0, 80, 160, 240):
        writer.write(np.full((16, 32, 3), level, np.uint8))
    writer.release()
    return path.read_bytes()


def declared_sizes(content):
    """Sizes (H, W) that a file's header says, as far as it is simple."""
    if content[:8] == b'\x89PNG\r\n\x1a\n':
        width, height = struct.unpack('>II', content[16:24])
    elif content[:3] == b'GIF':
        width, height = struct.unpack('<HH', content[6:10])
    elif content[:2] == b'BM':
        width, height = map(abs, struct.unpack('<ii', content[18:26]))
    else:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    return {(height, width), (width, height)}


def is_picture(pixels, sizes):
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.shape[:2] in sizes


def of_file(rng, seeds, folder, number):
    """A file, mostly damaged or with another ending; its sizes."""
    name, (content, size) = rng.choice(sorted(seeds.items()))
    what, sizes = f'whole {name}', {size}
    if rng.random() < 0.9:
        how, content = mutated_bytes(rng, content)
        what, sizes = f'{name} {how}', None
    suffix = Path(name).suffix
    if rng.random() < 0.2:
        suffix = rng.choice((*EXTENSIONS, '.avif'))
    stem = rng.choice(('a', 'ä b', 'c#d', '%41', 'e[1]', 'x' * 100))
    path = folder / f'{stem}{number}{suffix}'
    path.write_bytes(content)
    return what, path, sizes or LazySizes(content)


class LazySizes:
    """Sizes of a damaged file, looked for where it was read."""

    def __init__(self, content):
        self._content = content

    def __contains__(self, size):
        return size in declared_sizes(self._content)


def odd_array(rng):
    shape = rng.choice(
        (
            (5, 7, 3), (5, 7), (5, 7, 1), (5, 7, 4), (5, 7, 2), (5, 7, 5),
            (0, 7, 3), (5, 0), (7,), (), (1, 5, 7, 3), (1, 1), (1, 1025),
            (1025, 1, 3), (3, 5, 7),
        )
    )  # fmt: skip
    kind = rng.choice(
        ('u1', 'u1', 'u1', 'u2', 'i1', 'i4', 'f2', 'f4', 'f8', '?', 'c8', 'O',
         'U3', '>u2', 'M8[s]')
    )  # fmt: skip
    array = np.ones(shape).astype(np.uint8).astype(np.dtype(kind))
    if rng.random() < 0.2 and array.ndim:
        array = array[::-1]
    return array


def is_usual(array):
    channels = array.shape[2] if array.ndim == 3 else 1
    return (
        array.dtype in (np.uint8, np.uint16)
        and array.ndim in (2, 3)
        and channels in (1, 3, 4)
        and array.size > 0
    )


def of_array(rng):
    array = odd_array(rng)
    order = rng.choice(('bgr', 'rgb'))

    def right(image):
        assert is_usual(array)
        is_picture(image.pixels, {array.shape[:2]})

    return Case(
        f'array {array.dtype} {array.shape}',
        lambda: read_image(array, 7, order),
        right,
        ('array 7',),
    )


def of_pillow(rng, seeds):
    name, (content, size) = rng.choice(sorted(seeds.items()))
    if rng.random() < 0.5:
        how, content = mutated_bytes(rng, content)
        name = f'{name} {how}'
    try:
        image = Image.open(io.BytesIO(content))
    except Exception:  # a user has no image then either
        image = Image.new(rng.choice(('RGB', 'La', 'HSV', 'I', 'F')), (14, 9))
    sizes = {image.size, image.size[::-1]}
    return Case(
        f'Pillow {name}',
        lambda: read_image(image, 7),
        lambda found: is_picture(found.pixels, sizes),
        ('array 7',),
    )


def of_list(rng, folder):
    """What is no image, folder or pattern, among what is."""
    good = np.zeros((5, 7, 3), np.uint8)
    odd = rng.choice(
        (
            None, 3, 1.5, b'bytes', {}, [[good]], '', ' ', '\0', 'a\0b',
            'no/such.png', '*', '[', '**/*.png', '/', '.', '~', 'x' * 5000,
            'file://', 'file:///', 'file:///no/such', 'file://host/x.png',
            'FILE:///etc/hostname', folder, Path('no/such'), '\udcff.png',
            'data:image/png;base64,AAAA', 's3://a/b.png', 'http:/x', '://',
            'http://', 'http://[', 'clip.avi', 'no/such.mp4', '/dev/null',
            '/proc/self/mem', '-', 'con', True, object(), iter([]),
        )
    )  # fmt: skip
    images = [good, odd] if rng.random() < 0.7 else odd

    def call():
        return [
            read() for read in pending_images(list_images(images), 1, 'bgr')
        ]

    def right(outcomes):
        assert outcomes
        for outcome in outcomes:
            if isinstance(outcome, ImageError):
                assert outcome.source in outcome.reason
            else:
                is_picture(outcome.pixels, {outcome.pixels.shape[:2]})

    names = (
        str(odd)[:60], type(odd).__name__, 'the list is empty',
        'expected images', 'no images',
    )  # fmt: skip
    return Case(f'list {odd!r:.60}', call, right, names)


def of_stream(rng, seed, path, suffixes):
    """A damaged video or archive."""
    how, content = mutated_bytes(rng, seed)
    path = path.with_suffix(rng.choice(suffixes))
    path.write_bytes(content)

    def right(outcomes):
        assert outcomes
        for outcome in outcomes:
            if isinstance(outcome, ImageError):
                assert str(path) in outcome.reason
            else:
                is_picture(outcome.pixels, {outcome.pixels.shape[:2]})

    return Case(
        f'{path.suffix} {how}',
        lambda: [read() for read in pending_images([str(path)], 1, 'bgr')],
        right,
        (str(path),),
    )


def tar_of(files):
    """An archive of contents by name, some of them with long names."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode='w') as archive:
        for number, (name, (content, _)) in enumerate(files.items()):
            info = tarfile.TarInfo(f'a{"long" * 40 * (number % 2)}/{name}')
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def of_page(path, what):
    limits = Limits(max_upload_mb=1, max_side=100)

    def right(_):
        # what is no image its reader refuses
        try:
            with open_image(path) as image:
                assert max(image.size) <= 100
        except ValueError:
            return

    return Case(
        f'page: {what}', lambda: limits.check(path, 2, 3), right, (path.name,)
    )


def of_dataset(rng, dataset, shapes_world, folder, number):
    """A damaged image or label file of a dataset."""
    which = rng.choice(('img_path', 'seg_map_path'))
    record = dataset.get_data_info(rng.randrange(len(dataset)))
    content = Path(record[which]).read_bytes()
    how, content = mutated_bytes(rng, content)
    path = folder / f'd{number}{Path(record[which]).suffix}'
    path.write_bytes(content)
    record[which] = str(path)

    def right(packed):
        sample = packed['data_samples']
        assert sample.ori_shape[:2] == (64, 64)
        assert packed['inputs'].shape[0] == 3
        height, width = packed['inputs'].shape[1:]
        assert sample.gt_sem_seg.sem_seg.shape == (1, height, width)

    def call():
        dataset.get_data_info = lambda index: record
        try:
            return dataset.prepare_data(0)
        finally:
            del dataset.get_data_info

    return Case(f'dataset {which} {how}', call, right, (str(path),))


def of_inferencer(rng, inferencer, path, what):
    """A bad image or array between two good ones."""
    good = np.zeros((8, 12, 3), np.uint8)
    odd = str(path) if rng.random() < 0.5 else odd_array(rng)
    name = odd if isinstance(odd, str) else 'array 1'
    batch = rng.choice((1, 3))

    def right(outcomes):
        first, middle, last = outcomes
        for outcome in (first, last):
            assert isinstance(outcome, ImageResult)
            assert outcome.size == (8, 12)
        if isinstance(middle, ImageError):
            assert name in middle.reason
        elif not isinstance(odd, str):
            assert middle.size == odd.shape[:2]

    return Case(
        f'predict {what if isinstance(odd, str) else odd.shape}',
        lambda: list(
            inferencer.stream(
                [good, odd, good],
                ['cat', 'grass'],
                tasks='semantic',
                batch_size=batch,
            )
        ),
        right,
        (name,),
    )


def test_images(
    count, seeds, clip, shapes_world, tiny_config, tiny_inferencer, tmp_path
):
    settings = tiny_config.train_dataloader.dataset.copy()
    settings.pop('type')
    settings.data_root = str(shapes_world)
    dataset = OpenVocabPanopticDataset(**settings)
    folder = tmp_path / 'files'
    folder.mkdir()
    numbers = iter(range(count))
    shard = tar_of(seeds)

    def make(rng):
        number = next(numbers)
        chance = rng.random()
        if chance < 0.1:
            return of_array(rng)
        if chance < 0.2:
            return of_pillow(rng, seeds)
        if chance < 0.3:
            return of_list(rng, tmp_path)
        if chance < 0.33:
            suffixes = '.avi', '.avi', '.mp4', '.mkv'
            return of_stream(rng, clip, folder / f'v{number}', suffixes)
        if chance < 0.38:
            return of_stream(rng, shard, folder / f's{number}', ('.tar',))
        if chance < 0.5:
            return of_dataset(rng, dataset, shapes_world, folder, number)
        what, path, sizes = of_file(rng, seeds, folder, number)
        damaged = isinstance(sizes, LazySizes)
        if chance < 0.55:
            return of_page(path, what)
        if chance < 0.6:
            return of_inferencer(rng, tiny_inferencer, path, what)
        if chance < 0.65:
            return Case(
                f'labelled {what}',
                lambda: read_rgb(path),
                # turned by a viewer or not
                lambda pixels: is_picture(
                    pixels, sizes if damaged else {SIZE, SIZE[::-1]}
                ),
                (str(path),),
            )
        entry = rng.choice((path, str(path), path.as_uri()))
        return Case(
            what,
            lambda: read_image(entry),
            lambda image: is_picture(image.pixels, sizes),
            (str(entry),),
        )

    with warnings.catch_warnings():
        # Pillow's, of what it repairs
        warnings.simplefilter('ignore')
        fuzz('images', make, count)
