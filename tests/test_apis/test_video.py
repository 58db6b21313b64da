import io
import os
import re
import sys
import tarfile
import threading
import tracemalloc
import weakref
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.apis import (
    ImageError,
    ImageResult,
    InferenceError,
    Instance,
    PanopticSegment,
)
from freeseg_mm.apis.inputs import list_images
from freeseg_mm.apis.video import (
    Tracker,
    VideoInfo,
    count_inputs,
    is_video,
    pending_images,
    read_frames,
    read_video_info,
)
from freeseg_mm.structures import Vocabulary

WORDS = ['dragon', 'house', 'cat', 'lawn|turf']


def grey_frames(count, step=20):
    """Frame k is of the grey k * step."""
    return [np.full((48, 64, 3), k * step, np.uint8) for k in range(count)]


@pytest.fixture
def clip(make_video):
    return make_video(grey_frames(10))


@pytest.fixture
def cut(make_video, noise):
    """Half of a video."""
    whole = make_video([noise(seed=seed) for seed in range(10)], 'whole.avi')
    content = whole.read_bytes()
    path = whole.with_name('cut.avi')
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.parametrize(
    ('entry', 'expected'),
    [
        ('a/clip.mp4', True),
        ('clip.AVI', True),
        ('http://host/clip.webm?token=a.jpg', True),
        ('file:///a%20b/clip.mov', True),
        ('a.mp4/photo.jpg', False),
        ('animation.gif', False),
        (np.zeros((4, 4), np.uint8), False),
    ],
)
def test_what_is_a_video(entry, expected):
    assert is_video(entry) is expected


def test_what_a_video_says_of_itself(clip):
    assert read_video_info(str(clip)) == VideoInfo((48, 64), 5.0, 10)
    assert read_video_info(clip.as_uri()).frames == 10


@pytest.mark.parametrize('frame_stride', [1, 3, 20])
def test_frames_in_order(clip, frame_stride):
    found = list(read_frames(str(clip), frame_stride))
    numbers = list(range(0, 10, frame_stride))
    assert [frame.frame for frame in found] == numbers
    assert [frame.seconds for frame in found] == [n / 5 for n in numbers]
    assert {frame.source for frame in found} == {str(clip)}
    means = [frame.pixels.mean() for frame in found]
    np.testing.assert_allclose(means, [20 * n for n in numbers], atol=4)


def test_frames_are_bgr(make_video):
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 255
    (frame,) = read_frames(str(make_video([red])))
    blue, green, red = frame.pixels.reshape(-1, 3).mean(0)
    assert red > 220
    assert max(blue, green) < 40


def test_a_video_that_is_cut_short(cut):
    found = []

    def read_all():
        for frame in read_frames(str(cut)):
            found.append(frame.frame)

    with pytest.raises(
        ValueError, match=r'cut.avi: \d frames could be read of 10; the video'
    ):
        read_all()
    assert found == list(range(len(found)))
    assert 0 < len(found) < 9


@pytest.mark.parametrize('content', [b'', b'hello, world'])
def test_a_file_that_is_no_video(tmp_path, content):
    path = tmp_path / 'note.mp4'
    path.write_bytes(content)
    for read in (read_video_info, lambda name: list(read_frames(name))):
        with pytest.raises(ValueError, match=r'note.mp4: not a video that'):
            read(str(path))


def test_a_video_without_frames(clip, monkeypatch):
    content = clip.read_bytes()
    head = clip.with_name('head.avi')
    # the list of frames begins with this mark
    head.write_bytes(content[: content.index(b'movi') + 4])
    with pytest.raises(ValueError, match=r'head.avi: .*that can be read'):
        read_video_info(str(head))


def test_a_video_that_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such file: .*gone.mp4'):
        read_video_info(str(tmp_path / 'gone.mp4'))


def test_a_video_from_the_web(clip, private_urls):
    handler = partial(SimpleHTTPRequestHandler, directory=clip.parent)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}'
        assert list_images(f'{url}/clip.avi') == [f'{url}/clip.avi']
        try:
            assert len(list(read_frames(f'{url}/clip.avi', 2))) == 5
            with pytest.raises(ValueError, match='read .*/no.avi: .*404'):
                read_video_info(f'{url}/no.avi')
        finally:
            server.shutdown()


def test_counting(clip, photo, tmp_path, monkeypatch):
    entries = [str(photo), str(clip), np.zeros((4, 4), np.uint8)]
    assert count_inputs(entries, 1) == 12
    assert count_inputs(entries, 3) == 6
    assert count_inputs([str(tmp_path / 'gone.mp4')], 3) == 1
    monkeypatch.setattr(
        'freeseg_mm.apis.video.read_video_info',
        lambda name: VideoInfo((4, 4), None, None),
    )
    assert count_inputs(entries, 1) is None


def test_frames_are_answered_as_images_are(tiny_inferencer, make_video, noise):
    clip = make_video([noise(seed=seed) for seed in range(3)])
    frames = [frame.pixels for frame in read_frames(str(clip))]
    predictions = tiny_inferencer(clip, WORDS, score_thr=0.0)
    assert [prediction.frame for prediction in predictions] == [0, 1, 2]
    assert [prediction.seconds for prediction in predictions] == [
        0.0,
        0.2,
        0.4,
    ]
    for pixels, prediction in zip(frames, predictions, strict=True):
        (alone,) = tiny_inferencer(pixels, WORDS, score_thr=0.0)
        np.testing.assert_array_equal(prediction.label_map, alone.label_map)
        np.testing.assert_array_equal(
            prediction.segment_map, alone.segment_map
        )
        np.testing.assert_array_equal(prediction.image, pixels[..., ::-1])
        assert alone.frame is None
    assert predictions[2].title == f'{clip} frame 2'
    assert predictions[2].stem == 'clip_000002'
    assert predictions[2].to_json()['frame'] == 2
    assert predictions[2].to_json()['seconds'] == 0.4
    assert 'frame' not in alone.to_json()


def test_videos_and_images_in_one_call(
    tiny_inferencer, clip, cut, photo, noise, capsys
):
    """A batch may hold both; what is cut short fails in its place."""
    Image.fromarray(noise(seed=1)).save(photo)
    predictions = list(
        tiny_inferencer.stream(
            [photo, clip, cut, photo],
            ['cat'],
            tasks='semantic',
            frame_stride=4,
            batch_size=2,
        )
    )
    kinds = [
        prediction.reason
        if isinstance(prediction, ImageError)
        else prediction.frame
        for prediction in predictions
    ]
    (failure,) = (k for k in kinds if isinstance(k, str))
    where = kinds.index(failure)
    assert kinds[:4] == [None, 0, 4, 8]
    assert kinds[4:where] == [0, 4][: where - 4]
    assert kinds[where + 1 :] == [None]
    assert 'cut.avi: ' in failure
    with pytest.raises(InferenceError, match='cut short or damaged') as caught:
        tiny_inferencer(
            [cut, photo], ['cat'], tasks='semantic', frame_stride=4
        )
    assert caught.value.results[-1].source == str(photo)


def test_frames_do_not_pile_up(tiny_inferencer, make_video, monkeypatch):
    """However long a video is: frames and answers are let go."""
    clip = make_video(grey_frames(10))
    living = []

    def watched(name, frame_stride):
        for image in read_frames(name, frame_stride):
            living.append(weakref.ref(image.pixels))
            yield image

    monkeypatch.setattr('freeseg_mm.apis.video.read_frames', watched)
    most = 0
    for prediction in tiny_inferencer.stream(clip, ['cat'], tasks='semantic'):
        assert isinstance(prediction, ImageResult)
        living.append(weakref.ref(prediction))
        most = max(most, sum(one() is not None for one in living))
    assert len(living) == 20
    assert most <= 6


def test_a_bar_counts_frames(tiny_weights, clip, photo, capsys):
    from freeseg_mm import FreeSegInferencer

    inferencer = FreeSegInferencer(*tiny_weights, device='cpu', progress=True)
    inferencer(clip, ['cat'], tasks='semantic', frame_stride=5)
    assert '2/2' in capsys.readouterr().err
    inferencer(photo, ['cat'], tasks='semantic')
    assert capsys.readouterr().err == ''


def test_every_is_checked(tiny_inferencer, clip):
    with pytest.raises(ValueError, match='frame_stride: expected'):
        tiny_inferencer.stream(clip, ['cat'], frame_stride=0)


def _frame(*boxes):
    """A frame's result with a cat at each box, and grass."""
    pytest.importorskip('trackers')
    segment_map = np.full((100, 120), len(boxes) + 1, np.int32)
    words = Vocabulary.from_names(['cat', 'grass'], things=['cat'])
    instances, segments = [], []
    for number, (left, top, right, bottom) in enumerate(boxes, 1):
        mask = np.zeros((100, 120), bool)
        mask[top:bottom, left:right] = True
        segment_map[mask] = number
        instances.append(Instance.from_mask(0, 'cat', 0.5, mask))
        area = int(mask.sum())
        segments.append(PanopticSegment(number, 0, 'cat', True, 0.5, area))
    area = int((segment_map == len(boxes) + 1).sum())
    grass = PanopticSegment(len(boxes) + 1, 1, 'grass', False, 0.5, area)
    image = np.zeros((100, 120, 3), np.uint8)
    return ImageResult(
        'clip.mp4',
        image,
        words,
        instances=tuple(instances),
        segment_map=segment_map,
        segments=(*segments, grass),
    )


def test_a_thing_keeps_its_number_as_it_moves_and_hides():
    def left(k):
        return (10 + 4 * k, 10, 30 + 4 * k, 30)

    def right(k):
        return (80 - 2 * k, 60, 100 - 2 * k, 80)

    frames = [
        _frame(left(0), right(0)),
        _frame(left(1), right(1)),
        _frame(right(2)),  # the other is out of sight
        _frame(right(3), left(3)),
    ]
    tracker = Tracker(fps=10)
    found = [tracker.update(frame) for frame in frames]
    assert [[x.track for x in y.instances] for y in found] == [
        [None, None],
        [1, 2],
        [2],
        [2, 1],
    ]
    assert [[x.track for x in y.segments] for y in found] == [
        [None, None, None],
        [1, 2, None],
        [2, None],
        [2, 1, None],
    ]
    assert [x['track'] for x in found[3].to_json()['instances']] == [2, 1]
    assert 'track' not in found[0].to_json()['instances'][0]
    detections = found[3].to_supervision()
    assert detections.tracker_id.tolist() == [2, 1]
    assert found[0].to_supervision().tracker_id is None


def test_what_is_gone_for_long_comes_back_as_another():
    tracker = Tracker(fps=10, memory=0.3)
    box = (10, 10, 30, 30)
    tracks = [
        [x.track for x in tracker.update(frame).instances]
        for frame in [_frame(box)] * 2 + [_frame()] * 6 + [_frame(box)] * 2
    ]
    assert tracks[1] == [1]
    assert tracks[-1] == [2]


def test_following_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, 'trackers', None)
    with pytest.raises(ImportError, match='freeseg_mm.video'):
        Tracker()


# --- Archives ----------------------------------------------------------------


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'png')
    return file.getvalue()


@pytest.fixture
def make_shard(tmp_path):
    """Write a tar of names and contents; its path."""

    def make(members, name='shard.tar'):
        path = tmp_path / name
        with tarfile.open(path, 'w') as archive:
            for member, content in members:
                info = tarfile.TarInfo(member)
                if isinstance(content, bytes):
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
                else:
                    for field, value in content.items():
                        setattr(info, field, value)
                    archive.addfile(info)
        return path

    return make


def read_all(path):
    return [read() for read in pending_images([str(path)], 1, 'bgr')]


def test_images_of_an_archive(make_shard, noise, tmp_path):
    """Those that end as images do, in the order of the archive."""
    path = make_shard(
        [
            ('./a/000.png', png(noise(seed=0))),
            ('./a/000.json', b'{}'),
            ('a', {'type': tarfile.DIRTYPE}),
            ('b/000.PNG', png(noise(seed=1))),
            ('bad.jpg', b'no image'),
            ('000.png', png(noise(seed=2))),
        ]
    )
    first, second, bad, third = read_all(path)
    for seed, image in enumerate((first, second, third)):
        np.testing.assert_array_equal(
            image.pixels, noise(seed=seed)[..., ::-1]
        )
    assert [x.member for x in (first, second, third)] == [
        *('a/000.png', 'b/000.PNG', '000.png'),
    ]
    assert first.source == f'{path}/a/000.png'
    assert [x.place for x in (first, second, bad, third)] == [
        (0, number) for number in range(4)
    ]
    assert bad.reason.startswith(f'{path}/bad.jpg: not an image that can be')
    assert bad.source == f'{path}/bad.jpg'
    assert list(tmp_path.iterdir()) == [path]
    assert count_inputs([str(path)], 1) is None


@pytest.mark.parametrize(
    ('member', 'content', 'message'),
    [
        ('a' * 5000 + '.png', b'', 'its name has 5,004 letters'),
        ('a.png', {'type': tarfile.SYMTYPE, 'linkname': '/x'}, 'no plain f'),
        ('a.png', {'type': tarfile.LNKTYPE, 'linkname': 'b'}, 'no plain fi'),
        ('a.png', {'type': tarfile.FIFOTYPE}, 'no plain file'),
        ('/etc/a.png', b'x', 'leads out of the archive'),
        ('a/../../a.png', b'x', 'leads out of the archive'),
        ('a\u202egnp.png', b'x', 'holds U\\+202E'),
        ('a\n.png', b'x', 'holds U\\+000A'),
    ],
)
def test_members_that_are_refused(make_shard, noise, member, content, message):
    """The others are read all the same."""
    good = ('b.png', png(noise()))
    failed, image = read_all(make_shard([(member, content), good]))
    assert re.search(message, failed.reason)
    assert failed.reason.startswith(failed.source)
    assert failed.source.isprintable()
    assert image.member == 'b.png'


def test_a_member_may_be_too_large(make_shard, noise, monkeypatch):
    path = make_shard([('a.png', png(noise()))])
    monkeypatch.setenv('FREESEG_MM_MAX_DOWNLOAD', '100')
    (failed,) = read_all(path)
    assert 'FREESEG_MM_MAX_DOWNLOAD sets how many' in failed.reason


def without_end(content):
    """Leave out the two blocks of zeros and the rest that fills up."""
    blocks = -(-len(content.rstrip(b'\0')) // tarfile.BLOCKSIZE)
    return content[: blocks * tarfile.BLOCKSIZE]


@pytest.mark.parametrize(
    ('damage', 'read', 'message'),
    [
        (lambda content: content[:700], 0, 'cut short in a.png'),
        (lambda content: content[: len(content) // 2], 1, 'or damaged'),
        (without_end, 2, 'end mark is missing'),
        (lambda content: b'no archive' * 99, 0, 'not a tar archive that can'),
        (lambda content: b'', 0, 'not a tar archive that can be read'),
        (lambda content: bytes(10240), 0, 'without a file that ends in .bmp'),
    ],
)
def test_archives_that_are_damaged(make_shard, noise, damage, read, message):
    """What is whole is read; then one failure says what is wrong."""
    pixels = np.asarray(noise(height=49))
    members = [('a.png', png(pixels)), ('b.png', png(pixels))]
    content = make_shard(members).read_bytes()
    path = make_shard([], 'damaged.tar')
    path.write_bytes(damage(content))
    *images, failed = read_all(path)
    assert [image.member for image in images] == ['a.png', 'b.png'][:read]
    assert failed.reason.startswith(f'{path}: ')
    assert message in failed.reason
    assert failed.place == (0, read)


def test_a_header_cannot_ask_for_all_memory(tmp_path):
    """A long name of 2 GiB; the file has as many bytes, none on disk."""
    info = tarfile.TarInfo('././@LongLink')
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2 << 30
    path = tmp_path / 'long.tar'
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 3 << 30)
    tracemalloc.start()
    (failed,) = read_all(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 'a header of 2,147,483,648 bytes' in failed.reason
    assert peak < 4 << 20


def test_an_archive_is_never_held_whole(make_shard, noise):
    content = png(noise())
    path = make_shard(
        (f'{n}.png', content + bytes(100_000)) for n in range(100)
    )
    tracemalloc.start()
    for read in pending_images([str(path)], 1, 'bgr'):
        assert read().pixels.shape == (48, 64, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20


def test_an_archive_from_the_web(make_shard, noise, private_urls):
    path = make_shard([('a.png', png(noise()))])
    handler = partial(SimpleHTTPRequestHandler, directory=path.parent)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/shard.tar'
        try:
            (image,) = read_all(url)
        finally:
            server.shutdown()
    assert image.source == f'{url}/a.png'


def test_an_archive_is_predicted_as_its_files_are(
    tiny_inferencer, make_shard, noise, tmp_path
):
    names = [f'{number}.png' for number in range(4)]
    contents = [png(noise(seed=seed)) for seed in range(4)]
    path = make_shard(zip(names, contents, strict=True))
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / name for name in names]
    expected = tiny_inferencer(files, WORDS)
    for options in ({}, {'num_workers': 3}, {'num_workers': 1, 'skip': 2}):
        found = list(tiny_inferencer.stream(path, WORDS, **options))
        first = options.get('skip', 0)
        for one, other in zip(found, expected[first:], strict=True):
            np.testing.assert_array_equal(one.segment_map, other.segment_map)
            assert one.segments == other.segments
        assert found[-1].place == (0, 3)
        assert found[-1].coco_image(7)['file_name'] == 'shard.tar/3.png'


def test_a_name_is_no_protocol_of_ffmpeg(clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    for name in ('data:text,x.avi', 'concat:clip.avi|x.avi'):
        clip.with_name(name).write_bytes(clip.read_bytes())
        assert read_video_info(name).frames == 10


@pytest.mark.parametrize('name', ['pipe.avi', 'pipe.tar'])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    (found,) = read_all(tmp_path / name)
    assert f'{name} is a pipe' in found.reason
