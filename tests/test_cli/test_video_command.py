import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from warm_processes import run_warm

from freeseg_mm.cli import main
from freeseg_mm.cli.video import VideoOutput

# imageio-ffmpeg leaves the pipes of an ffmpeg that has ended to Python.
pytestmark = pytest.mark.filterwarnings(
    'ignore:Exception ignored in. <_io.FileIO name='
    ':pytest.PytestUnraisableExceptionWarning'
)

TASKS = ('instances', 'panoptic')


@pytest.fixture
def clip(make_video, noise):
    return make_video([noise(seed=seed) for seed in range(4)])


@pytest.fixture
def video(tiny_weights, capsys):
    """Run the command on the tiny model; status, output, errors."""

    def run(*arguments):
        config, weights = map(str, tiny_weights)
        status = main(
            [
                *('video', *map(str, arguments), '--device', 'cpu'),
                *('--config', config, '--checkpoint', weights),
            ]
        )
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def read(path):
    """Frames a second, and the frames."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        found, frame = capture.read()
        if not found:
            return capture.get(cv2.CAP_PROP_FPS), frames
        frames.append(frame)


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['video', '--help'])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "freeseg-mm video clip.mp4 --classes 'cat, dog, grass'" in text
    assert 'exit status' in text


def test_a_painted_video(video, clip, tmp_path):
    out = tmp_path / 'new/painted.avi'
    status, text, _ = video(clip, '--classes', 'dragon, house', '--out', out)
    assert (status, text) == (0, f'wrote {out}: 4 frames\n')
    fps, frames = read(out)
    assert fps == 5
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 4
    assert [path.name for path in out.parent.iterdir()] == ['painted.avi']


def _streams(path):
    """Codecs of a video's picture and sound, by ffmpeg."""
    imageio_ffmpeg = pytest.importorskip('imageio_ffmpeg')
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    reader.close()
    return meta['codec'], meta.get('audio_codec') or None, meta['pix_fmt']


def _with_sound(path):
    """Put a second of a tone beside a video's pictures."""
    imageio_ffmpeg = pytest.importorskip('imageio_ffmpeg')
    out = path.with_name('loud.mp4')
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), '-v', 'error', '-i', path),
            *('-f', 'lavfi', '-i', 'sine=duration=1', '-c:a', 'aac'),
            out,
        ],
        check=True,
    )
    return out


@pytest.mark.parametrize('ending', ['.mp4', '.mkv', '.mov'])
def test_browsers_play_it_and_sound_is_kept(video, clip, tmp_path, ending):
    loud = _with_sound(clip)
    out = tmp_path / f'painted{ending}'
    for source, sound in ((clip, None), (loud, 'aac')):
        status, _, _ = video(
            *(source, '--classes', 'a', '--tasks', 'semantic', '--out', out)
        )
        assert status == 0
        codec, found, layout = _streams(out)
        assert codec == 'h264'
        assert layout.startswith('yuv420p')
        assert found == sound
    fps, frames = read(out)
    assert fps == pytest.approx(5)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 4


def test_without_ffmpeg_opencv_writes(video, clip, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
    out = tmp_path / 'painted.mp4'
    arguments = (clip, '--classes', 'a', '--tasks', 'semantic', '--out', out)
    assert video(*arguments)[0] == 0
    assert len(read(out)[1]) == 4
    monkeypatch.undo()
    assert _streams(out)[0].startswith('mpeg4')


def test_objects_are_followed(video, make_video, noise, tmp_path):
    pytest.importorskip('trackers')
    still = make_video([noise()] * 4)
    status, text, _ = video(
        *(still, '--classes', 'dragon', '--json', '--track'),
        *('--tasks', 'instance', 'panoptic', '--score-thr', '0.1'),
        *('--out', tmp_path / 'painted.mp4'),
    )
    assert status == 0
    first, second, *rest = (
        [[x.get('track') for x in json.loads(line)[task]] for task in TASKS]
        for line in text.splitlines()
    )
    assert second[0]
    assert {None} == {track for tracks in first for track in tracks}
    assert sorted(second[0]) == [*range(1, len(second[0]) + 1)]
    assert rest == [second] * 2


def test_a_camera(video, noise, tmp_path, monkeypatch):
    released = []

    class Camera:
        opened = []

        def __init__(self, number):
            self.opened.append(number)

        def isOpened(self):  # noqa: N802 - OpenCV's
            return self.opened[-1] == 1

        def get(self, _):
            return 0.0  # as cameras say that do not know

        def grab(self):
            return True

        def retrieve(self):
            return True, noise()[..., ::-1]

        def read(self):
            return self.retrieve()

        def release(self):
            released.append(True)

    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    monkeypatch.chdir(tmp_path)
    arguments = ('--classes', 'a', '--tasks', 'semantic', '--json')
    status, text, _ = video('webcam:1', *arguments, '--max-frames', '3')
    assert status == 0
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line['frame'] for line in lines] == [0, 1, 2]
    assert {line['source'] for line in lines} == {'webcam:1'}
    assert released
    status, _, errors = video('webcam', *arguments)
    assert status == 1
    assert 'webcam: there is no camera 0, or another program' in errors
    (tmp_path / 'webcam').write_text('no camera')
    status, _, errors = video('webcam', *arguments)
    assert 'expected one video' in errors


def test_one_colour_in_all_frames(video, make_video, tmp_path):
    """Grey frames that are all one word come out in its colour."""
    greys = [np.full((48, 64, 3), level, np.uint8) for level in (90, 92, 94)]
    out = tmp_path / 'painted.avi'
    status, _, _ = video(
        *(make_video(greys), '--classes', 'a', '--tasks', 'semantic'),
        *('--out', out),
    )
    assert status == 0
    _, frames = read(out)
    corners = [frame[30:44, 4:20].astype(int) for frame in frames]
    assert len(corners) == 3
    for corner in corners:
        assert np.abs(corner - corners[0]).mean() < 6
        assert np.ptp(corner.reshape(-1, 3).mean(axis=0)) > 20  # not grey


def test_lines_of_some_frames_and_tasks(video, clip, tmp_path):
    out = tmp_path / 'painted.avi'
    status, text, errors = video(
        *(clip, '--classes', 'dragon', '--json', '--frame-stride', '3'),
        *('--tasks', 'semantic', 'panoptic', '--out', out),
        *('--prompt-tuning', '2'),
    )
    assert status == 0
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line['frame'] for line in lines] == [0, 3]
    assert [line['seconds'] for line in lines] == [0.0, 0.6]
    for line in lines:
        assert line['source'] == str(clip)
        assert {'semantic', 'panoptic'} <= line.keys()
        assert 'instances' not in line
        assert line['notes'][0].startswith('prompt ')
    assert f'wrote {out}: 2 frames' in errors
    fps, frames = read(out)
    assert fps == pytest.approx(5 / 3, abs=0.01)
    assert [frame.shape for frame in frames] == [(48, 128, 3)] * 2


def test_a_video_that_is_cut_short(video, make_video, noise, tmp_path):
    whole = make_video([noise(seed=seed) for seed in range(10)])
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    out = tmp_path / 'painted.avi'
    status, text, errors = video(
        *(
            whole,
            '--classes',
            'a',
            '--tasks',
            'semantic',
            '--frame-stride',
            '2',
        ),
        *('--json', '--out', out),
    )
    assert status == 1
    *lines, last = map(json.loads, text.splitlines())
    assert len(lines) == len(read(out)[1]) > 0
    assert last == {'source': str(whole), 'error': last['error']}
    assert 'clip.avi: ' in last['error']
    assert 'cut short or damaged' in last['error']
    assert f'freeseg-mm video: {last["error"]}' in errors


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['gone.mp4', '--out', 'a.mp4'], 'no such file or folder: gone.mp4'),
        (['TEXT', '--out', 'a.mp4'], 'note.mp4: not a video that can be read'),
        (['PHOTO', '--out', 'a.mp4'], 'photo.png: expected one video'),
        (['CLIP'], 'give --out for a painted video, or --json, or both'),
        (['CLIP', '--out', 'a.gif'], 'a.gif: expected a name that ends in'),
        (['CLIP', '--out', 'CLIP'], 'would take the place of the video'),
        (['CLIP', '--out', 'PHOTO/a.mp4'], 'a.mp4: cannot be written'),
        (['CLIP', '--out', 'FOLDER.mp4'], 'FOLDER.mp4 is a folder'),
        (
            ['CLIP', '--out', 'a.mp4', '--codec', 'ZZZZ'],
            "OpenCV cannot write the codec 'ZZZZ' to a .mp4 file",
        ),
        (['CLIP', '--out', 'a.mp4', '--codec', 'x'], 'four characters'),
        (['CLIP', '--out', 'a.mp4', '--things', 'b'], "unknown classes ['b'"),
        (['CLIP', '--out', 'a.mp4', '--score-thr', '2'], 'score_thr: expec'),
        (['CLIP', '--out', 'a.mp4'], 'no model is here yet'),
    ],
)
def test_mistakes_are_one_sentence_before_weights(
    clip, photo, tmp_path, monkeypatch, capsys, arguments, message
):
    empty = tmp_path / 'empty'
    (empty / 'FOLDER.mp4').mkdir(parents=True)
    text = tmp_path / 'note.mp4'
    text.write_text('hello')
    monkeypatch.chdir(empty)
    monkeypatch.setattr('freeseg_mm.utils.files.PACKAGE_FILES', empty)
    given = {'CLIP': clip, 'PHOTO': photo, 'TEXT': text}
    named = [
        word.replace(name, str(given[name]))
        for word in arguments
        for name in [next((n for n in given if n in word), 'CLIP')]
    ]
    before = clip.read_bytes()
    assert main(['video', *named, '--classes', 'a']) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('freeseg-mm video: ')
    assert message in line
    assert clip.read_bytes() == before
    assert [path.name for path in empty.iterdir()] == ['FOLDER.mp4']


def test_the_decoder_adds_nothing_to_the_sentence(tmp_path):
    text = tmp_path / 'note.mp4'
    text.write_text('hello')
    done = run_warm(
        [
            *('-m', 'freeseg_mm', 'video', text),
            *('--classes', 'a', '--out', tmp_path / 'a.mp4'),
        ]
    )
    assert done.returncode == 1
    assert done.stdout == ''
    (line,) = done.stderr.splitlines()
    assert line.startswith(f'freeseg-mm video: {text}: not a video')


@pytest.mark.parametrize(
    'arguments',
    [
        [],
        ['a.mp4', '--out', 'b.mp4'],
        ['a.mp4', '--classes', 'a', '--out', 'b.mp4', '--tasks', 'boxes'],
        ['a.mp4', '--classes', 'a', '--prompt-tuning', 'much'],
        ['a.mp4', '--classes', 'a', '--prompt-tuning', '-1'],
        ['a.mp4', '--classes', 'a', '--frame-stride', '0'],
        ['a.mp4', '--classes', 'a', '--batch-size', 'x'],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(['video', *arguments])
    assert stop.value.code == 2
    assert 'usage: freeseg-mm video' in capsys.readouterr().err


def test_an_older_video_stays_until_the_new_one_is_done(tmp_path):
    path = tmp_path / 'a.avi'
    path.write_text('older')
    other = tmp_path / 'a.part1.avi'
    other.write_text('mine')
    with VideoOutput(path, (48, 64), 5.0) as output:
        assert output.written == 0
    assert path.read_text() == 'older'
    assert {left.name for left in tmp_path.iterdir()} == {
        path.name,
        other.name,
    }
    with VideoOutput(path, (48, 64), 5.0) as output:
        output.write(np.full((48, 64, 3), (255, 0, 0), np.uint8))
        assert path.read_text() == 'older'
        with pytest.raises(ValueError, match=r'a.avi: a picture is \(4, 4\)'):
            output.write(np.zeros((4, 4, 3), np.uint8))
    assert output.written == 1
    assert other.read_text() == 'mine'
    _, (frame,) = read(path)
    blue, green, red = frame.reshape(-1, 3).mean(axis=0)
    assert red > 220 > 40 > max(blue, green)


def test_what_is_written_is_kept_when_it_is_stopped(tmp_path):
    path = tmp_path / 'a.avi'

    def stopped():
        with VideoOutput(path, (48, 64), 5.0) as output:
            output.write(np.zeros((48, 64, 3), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert len(read(path)[1]) == 1
