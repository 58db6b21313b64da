import re

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.utils.image_files import (
    check_image_file,
    read_class_map,
    read_label_map,
    write_label_map,
)


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)


def cut(path, num_bytes):
    path.write_bytes(path.read_bytes()[:num_bytes])


class TestCheckImageFile:
    @pytest.mark.parametrize('suffix', ['jpg', 'png'])
    def test_whole_image(self, tmp_path, pixels, suffix):
        path = tmp_path / f'a.{suffix}'
        Image.fromarray(pixels).save(path)
        check_image_file(path, (40, 60))

    def test_png_named_jpg(self, tmp_path, pixels):
        path = tmp_path / 'a.jpg'
        Image.fromarray(pixels).save(path, format='PNG')
        check_image_file(path, (40, 60))

    def test_bytes_after_the_end_are_no_damage(self, tmp_path, pixels):
        path = tmp_path / 'a.jpg'
        Image.fromarray(pixels).save(path)
        path.write_bytes(path.read_bytes() + b'\0' * 100)
        check_image_file(path, (40, 60))

    @pytest.mark.parametrize('suffix', ['jpg', 'png'])
    @pytest.mark.parametrize('part', [0, 0.01, 0.5, 0.95])
    def test_cut_short(self, tmp_path, pixels, suffix, part):
        path = tmp_path / f'a.{suffix}'
        Image.fromarray(pixels).save(path)
        cut(path, int(part * path.stat().st_size))
        with pytest.raises(
            ValueError, match=f'cannot decode image {re.escape(str(path))}: '
        ):
            check_image_file(path, (40, 60))

    def test_no_image(self, tmp_path):
        path = tmp_path / 'a.jpg'
        path.write_text('404 not found')
        with pytest.raises(ValueError, match='cannot decode image .*a.jpg'):
            check_image_file(path, (40, 60))

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='missing file .*a.jpg'):
            check_image_file(tmp_path / 'a.jpg', (1, 1))

    def test_other_size(self, tmp_path, pixels):
        path = tmp_path / 'a.jpg'
        Image.fromarray(pixels).save(path)
        with pytest.raises(
            ValueError,
            match=re.escape(
                f'{path}: size (H, W) is (40, 60) but its annotation says '
                '(60, 40); the files do not belong together'
            ),
        ):
            check_image_file(path, (60, 40))

    @pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
    @pytest.mark.parametrize('orientation', range(2, 9))
    def test_image_that_viewers_turn(
        self, tmp_path, pixels, suffix, orientation
    ):
        path = tmp_path / f'a.{suffix}'
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(pixels).save(path, exif=exif)
        with pytest.raises(
            ValueError,
            match=f'{re.escape(str(path))} has EXIF orientation {orientation}',
        ):
            check_image_file(path, (40, 60))

    def test_official_images_are_whole(self, samples_dir):
        paths = sorted((samples_dir / 'coco_stuff200').rglob('*.jpg'))
        assert len(paths) == 200
        for path in paths:
            with Image.open(path) as image:
                size = (image.height, image.width)
            check_image_file(path, size)


class TestLabelMap:
    def test_round_trip(self, tmp_path):
        labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
        write_label_map(labels, tmp_path / 'a.png')
        found = read_label_map(tmp_path / 'a.png')
        np.testing.assert_array_equal(found, labels)
        assert found.dtype == np.uint8
        assert list(tmp_path.iterdir()) == [tmp_path / 'a.png']

    def test_palette_gives_its_indices(self, tmp_path):
        labels = np.array([[0, 2], [1, 0]], np.uint8)
        image = Image.fromarray(labels, 'L').convert('P')
        image.putdata(labels.ravel())
        image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
        image.save(tmp_path / 'a.png')
        np.testing.assert_array_equal(
            read_label_map(tmp_path / 'a.png'), labels
        )

    @pytest.mark.parametrize('mode', ['RGB', 'I;16'])
    def test_other_modes_are_refused(self, tmp_path, mode):
        path = tmp_path / 'a.png'
        Image.new(mode, (4, 3)).save(path)
        with pytest.raises(
            ValueError,
            match=re.escape(
                f'label map {path}: expected image mode L or P, got {mode}'
            ),
        ):
            read_label_map(path)

    def test_cut_short(self, tmp_path):
        path = tmp_path / 'a.png'
        rng = np.random.default_rng(0)
        write_label_map(rng.integers(0, 255, (50, 50), np.uint8), path)
        cut(path, 1000)
        with pytest.raises(
            ValueError,
            match=f'cannot decode label map {re.escape(str(path))}: .*; '
            'write or download it again',
        ):
            read_label_map(path)

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='no label map .*a.png'):
            read_label_map(tmp_path / 'a.png')


class TestClassMap:
    def test_positions_and_ignored(self, tmp_path):
        write_label_map(np.array([[0, 5, 255]], np.uint8), tmp_path / 'a.png')
        assert read_class_map(tmp_path / 'a.png', 6).tolist() == [[0, 5, 255]]

    def test_classes_beyond_the_vocabulary(self, tmp_path):
        write_label_map(np.array([[4, 7, 5]], np.uint8), tmp_path / 'a.png')
        with pytest.raises(
            ValueError,
            match=r'semantic PNG .*a.png holds classes \[5, 7\]; expected 0 '
            r'to 4, the positions in the vocabulary, or 255 \(ignored\)',
        ):
            read_class_map(tmp_path / 'a.png', 5)

    def test_255_classes_at_most(self, tmp_path):
        write_label_map(np.array([[254]], np.uint8), tmp_path / 'a.png')
        assert read_class_map(tmp_path / 'a.png', 255).item() == 254
        with pytest.raises(ValueError, match='8 bits cannot tell the 256 cl'):
            read_class_map(tmp_path / 'a.png', 256)
