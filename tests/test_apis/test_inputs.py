import os
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from freeseg_mm.apis.inputs import list_images, read_image
from freeseg_mm.utils.image_files import check_image_file
from freeseg_mm.utils.open_image import read_rgb


@pytest.fixture
def folder(tmp_path, noise):
    folder = tmp_path / 'images [1]'
    folder.mkdir()
    for index, name in enumerate(['b.png', 'a.JPG', 'c.webp']):
        Image.fromarray(noise(seed=index)).save(folder / name)
    (folder / 'readme.txt').write_text('no image')
    (folder / 'sub').mkdir()
    return folder


def names(entries):
    return [str(entry).rsplit('/')[-1] for entry in entries]


def test_a_folder_is_its_images_by_name(folder):
    assert names(list_images(folder)) == ['a.JPG', 'b.png', 'c.webp']
    assert names(list_images(str(folder))) == ['a.JPG', 'b.png', 'c.webp']


def test_patterns_and_lists(folder, tmp_path, noise):
    pattern = f'{tmp_path}/images*/*.[pw]*'
    assert names(list_images(pattern)) == ['b.png', 'c.webp']
    (tmp_path / 'clip.mp4').touch()  # a video is one entry
    assert names(list_images(f'{tmp_path}/*.mp4')) == ['clip.mp4']
    array = noise()
    entries = list_images([folder / 'b.png', array, folder])
    assert names([entries[0], *entries[2:]]) == [
        'b.png',
        'a.JPG',
        'b.png',
        'c.webp',
    ]
    assert entries[1] is array
    assert len(list_images(array)) == 1
    assert len(list_images(Image.fromarray(array))) == 1


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path):
    (tmp_path / 'a[1].png').touch()
    assert names(list_images(tmp_path / 'a[1].png')) == ['a[1].png']


@pytest.mark.parametrize(
    ('images', 'error', 'message'),
    [
        ([], ValueError, 'no images: the list is empty'),
        ('no.png', FileNotFoundError, 'no such file or folder: no.png'),
        ('file:///no.png', FileNotFoundError, 'folder: file:///no.png'),
        ('no*.png', FileNotFoundError, r'no file matches no\*.png'),
        ([None], TypeError, 'Pillow images, got NoneType'),
    ],
)
def test_refuses(images, error, message):
    with pytest.raises(error, match=message):
        list_images(images)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=f'folder {tmp_path}: of its 0 files'):
        list_images(tmp_path)
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(ValueError, match='of its 1 files none ends in .bmp'):
        list_images(tmp_path)


def test_a_list_names_files_one_a_line(folder, tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text(
        f'\ufeff{folder}/b.png\n\n  gone.jpg\r\nhttp://host/a b.jpg\n#1.png'
    )
    assert list_images([path, folder / 'c.webp']) == [
        *(f'{folder}/b.png', 'gone.jpg', 'http://host/a b.jpg', '#1.png'),
        f'{folder}/c.webp',
    ]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b' \n\n', r'list.txt: no file is listed'),
        (b'a\xff.png', r"list.txt: 'utf-8' codec can't decode"),
        (b'a\x00.png', r'list.txt: the name .* holds U\+0000'),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / 'list.txt').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list_images(tmp_path / 'list.txt')


@pytest.mark.parametrize('name', ['photo.png', 'photo.jpg', 'photo.bmp'])
def test_pixels_are_those_of_mmdets_pipelines(name, tmp_path, noise):
    path = tmp_path / name
    Image.fromarray(noise()).save(path)
    read = read_image(path)
    np.testing.assert_array_equal(read.pixels, mmcv.imread(path))
    assert read.source == str(path)
    assert read.notes == ()


def test_a_file_url_is_a_file(tmp_path, noise):
    path = tmp_path / 'a b.png'
    Image.fromarray(noise()).save(path)
    url = path.as_uri()
    assert 'a%20b' in url
    (entry,) = list_images(url)
    np.testing.assert_array_equal(read_image(entry).pixels, noise()[..., ::-1])


def test_an_http_url(tmp_path, noise, private_urls):
    Image.fromarray(noise()).save(tmp_path / 'a.png')
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}'
        (entry,) = list_images(f'{url}/a.png')
        pixels = read_image(entry).pixels
        with pytest.raises(
            ValueError, match=f'cannot read {url}/b.png: .*404'
        ):
            read_image(f'{url}/b.png')
        server.shutdown()
    np.testing.assert_array_equal(pixels, noise()[..., ::-1])


def test_grey_and_16_bits(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(grey).save(tmp_path / 'grey.png')
    Image.fromarray(grey.astype(np.uint16) * 256 + 99).save(
        tmp_path / 'deep.png'
    )
    for name, notes in {
        'grey.png': (),
        'deep.png': ('16 bits brought to 8',),
    }.items():
        read = read_image(tmp_path / name)
        np.testing.assert_array_equal(
            read.pixels, grey[..., None].repeat(3, 2)
        )
        assert read.notes == notes
        rgb = read_rgb(tmp_path / name)
        np.testing.assert_array_equal(rgb, read.pixels[..., ::-1])


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize('orientation', range(2, 9))
def test_exif_rotation(tmp_path, suffix, orientation):
    """A picture stored turned comes out upright: red at the top left."""
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16] = 255, 0, 0
    stored = {
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, 3),
    }[orientation]
    path = tmp_path / f'turned.{suffix}'
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored.copy()).save(path, exif=exif)
    np.testing.assert_array_equal(
        read_rgb(path)[..., ::-1], read_image(path).pixels
    )
    read = read_image(path)
    assert read.pixels.shape == (32, 48, 3)
    assert (read.pixels[4:12, 4:12, 2] > 200).all()
    assert (read.pixels[20:, 20:] < 60).all()
    assert read.notes == (
        f'turned as its EXIF orientation {orientation} says',
    )


@pytest.mark.parametrize('value', [0, 9, 255])
def test_exif_orientation_that_means_nothing(tmp_path, noise, value):
    exif = Image.Exif()
    exif[0x0112] = value
    path = tmp_path / 'a.jpg'
    Image.fromarray(noise()).save(path, exif=exif)
    read = read_image(path)
    assert read.pixels.shape == noise().shape
    assert read.notes == ()


def test_of_an_animation_the_first_frame(tmp_path, noise):
    first, second = Image.fromarray(noise()), Image.fromarray(noise(seed=1))
    first.save(tmp_path / 'a.gif', save_all=True, append_images=[second])
    read = read_image(tmp_path / 'a.gif')
    assert read.notes == ('first of 2 frames',)
    near = np.abs(read.pixels[..., ::-1].astype(int) - noise()).mean()
    assert near < 12  # a GIF has 256 colours


def test_a_text_file_called_jpg(tmp_path):
    path = tmp_path / 'note.jpg'
    path.write_text('hello, world')
    with pytest.raises(
        ValueError, match=r"note.jpg: not an image .*begins with b'hello"
    ):
        read_image(path)
    path.write_bytes(b'')
    with pytest.raises(ValueError, match='note.jpg is empty'):
        read_image(path)


@pytest.mark.parametrize('name', ['cut.jpg', 'cut.png', 'cut.gif', 'cut.webp'])
def test_a_file_that_was_cut_short(tmp_path, noise, name):
    path = tmp_path / name
    Image.fromarray(noise(200, 300)).save(path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match=f'{name}: not an image'):
        read_image(path)


def test_a_jpeg_that_goes_on_after_its_end_is_read(tmp_path, noise):
    path = tmp_path / 'camera.jpg'
    Image.fromarray(noise()).save(path)
    before = read_image(path).pixels
    path.write_bytes(path.read_bytes() + bytes(5000))
    np.testing.assert_array_equal(read_image(path).pixels, before)


def test_a_file_that_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no such file: .*gone.png'):
        read_image(tmp_path / 'gone.png')


def test_a_bomb_is_refused(tmp_path, monkeypatch, noise):
    path = tmp_path / 'huge.png'
    Image.fromarray(noise()).save(path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(ValueError, match=r'huge.png: .*exceeds limit'):
        read_image(path)


@pytest.mark.parametrize('shape', [(8, 6), (8, 6, 1), (8, 6, 3), (8, 6, 4)])
@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
def test_arrays(shape, kind):
    array = np.full(shape, 7, kind) * (257 if kind is np.uint16 else 1)
    read = read_image(array.astype(kind), 3)
    assert read.source == 'array 3'
    assert read.pixels.dtype == np.uint8
    assert read.pixels.shape == (8, 6, 3)
    assert (read.pixels == 7).all()


@pytest.mark.parametrize(
    ('array', 'error', 'message'),
    [
        (np.zeros((4, 4, 3)), TypeError, 'array 2: .*got float64'),
        (np.zeros((4, 4, 2), np.uint8), ValueError, r'got \(4, 4, 2\)'),
        (np.zeros(4, np.uint8), ValueError, r'got \(4,\)'),
        (np.zeros((0, 4, 3), np.uint8), ValueError, r'got \(0, 4, 3\)'),
    ],
)
def test_other_arrays_are_refused(array, error, message):
    with pytest.raises(error, match=message):
        read_image(array, 2)


def test_a_pillow_image_is_rgb_by_itself(noise):
    read = read_image(Image.fromarray(noise()))
    np.testing.assert_array_equal(read.pixels, noise()[..., ::-1])
    read = read_image(Image.fromarray(noise()).convert('P'))
    assert read.pixels.shape == (48, 64, 3)


BAD = Path(__file__).parents[1] / 'data/bad_images'
POSTSCRIPT = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n'


@pytest.mark.parametrize('name', ['a.jpg', 'a.png', 'a.eps'])
def test_postscript_reaches_no_interpreter(tmp_path, monkeypatch, name):
    monkeypatch.setattr(
        'PIL.EpsImagePlugin.Ghostscript',
        lambda *_, **__: pytest.fail('Ghostscript was run'),
    )
    (tmp_path / name).write_bytes(POSTSCRIPT)
    with pytest.raises(ValueError, match=rf'{name}: .*begins with b.%!PS'):
        read_image(tmp_path / name)


@pytest.mark.parametrize('kind', ['TGA', 'PCX', 'ICO', 'JPEG2000', 'SGI'])
def test_other_formats_are_refused(tmp_path, noise, kind):
    path = tmp_path / 'photo.png'
    Image.fromarray(noise(32, 32)).save(path, format=kind)
    with pytest.raises(ValueError, match=r'photo\.png: .*expected one of'):
        read_image(path)


@pytest.mark.parametrize('path', sorted(BAD.iterdir()), ids=lambda p: p.name)
def test_whatever_a_reader_raises_names_the_image(path):
    with pytest.raises(ValueError, match=f'{path.name}: not an image'):
        read_image(path)


@pytest.mark.parametrize(
    'values', [np.ones((4, 4), np.float32), np.ones((4, 4), np.int32)]
)
def test_32_bits_are_refused(tmp_path, values):
    image = Image.fromarray(values)
    image.save(tmp_path / 'deep.tif')
    for entry in (tmp_path / 'deep.tif', image):
        with pytest.raises(ValueError, match='bring them to 8 or 16 bits'):
            read_image(entry)


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (b'P5 2 1 65535\n\x00\xff\x80\x00', [0, 128]),
        (b'P5 2 1 1000\n\x00\x00\x03\xe8', [0, 255]),
        (b'P5 2 1 100\n\x00\x64', [0, 255]),
        (b'P2 2 1 65535\n0 65535', [0, 255]),
        (b'P6 1 1 1000\n\x03\xe8\x03\xe8\x03\xe8', [255]),
    ],
)
def test_white_of_a_pgm_is_white(tmp_path, content, expected):
    """Whatever number it says white is."""
    path = tmp_path / 'a.pgm'
    path.write_bytes(content)
    pixels = read_image(path).pixels
    np.testing.assert_array_equal(pixels[..., 0], [expected])
    np.testing.assert_array_equal(read_rgb(path), pixels[..., ::-1])


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp'])
def test_a_turn_that_readers_differ_about_is_refused(tmp_path, noise, suffix):
    """As bytes in place of a number: OpenCV turns it, Pillow does not."""
    entry = struct.pack('<HHIBBBB', 0x112, 1, 1, 6, 0, 0, 0)
    exif = b'Exif\0\0II*\0\x08\0\0\0\x01\0' + entry + bytes(4)
    path = tmp_path / f'a.{suffix}'
    Image.fromarray(noise()).save(path, exif=exif)
    for read in (read_image, partial(check_image_file, size=(48, 64))):
        with pytest.raises(ValueError, match=r'a\.\w+.* orientation is b'):
            read(path)


def test_device_without_an_end_is_refused():
    with pytest.raises(ValueError, match='/dev/zero is a device'):
        read_image('/dev/zero')
    # a file by its looks, whose reader would wait for ever
    with pytest.raises(ValueError, match='/proc/kmsg is empty'):
        read_image('/proc/kmsg')


@pytest.mark.parametrize('kind', ['pipe', 'sparse'])
def test_what_has_no_end_is_refused(tmp_path, kind):
    path = tmp_path / 'a.jpg'
    if kind == 'pipe':
        os.mkfifo(path)
    else:
        with open(path, 'wb') as file:
            file.truncate(50 << 30)
    with pytest.raises(ValueError, match=rf'{path} (is a pipe|has 53,687)'):
        read_image(str(path))


@pytest.mark.parametrize(
    'name',
    [
        'x' * 300 + '.jpg',
        f'data:image/png;base64,{"A" * 5000}',
        'a/' * 3000 + 'x.png',
    ],
)
@pytest.mark.parametrize('read', [list_images, read_image])
def test_a_name_that_no_disk_has_is_shown_in_part(name, read):
    with pytest.raises(FileNotFoundError, match=r'no such file.*letters') as e:
        read(name)
    assert len(str(e.value)) < 200


@pytest.mark.parametrize('entry', [5, None, b'a.png', ['a.png']])
def test_what_is_no_image_is_not_looked_for(entry):
    with pytest.raises(TypeError, match='expected images as paths'):
        read_image(entry)


def test_a_file_of_another_machine_is_not_looked_for_here(photo):
    assert list_images(f'file://localhost{photo}')
    with pytest.raises(ValueError, match='elsewhere is another machine'):
        list_images(f'file://elsewhere{photo}')


@pytest.mark.parametrize('ending', ['png', 'tif', 'ppm'])
def test_16_bits_of_colours_are_noted(tmp_path, noise, ending):
    wide = noise().astype(np.uint16) * 257
    path = tmp_path / f'wide.{ending}'
    cv2.imwrite(str(path), wide[..., ::-1])
    image = read_image(path)
    assert image.notes == ('16 bits brought to 8',)
    assert np.array_equal(image.pixels[..., ::-1], noise())
