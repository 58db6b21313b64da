import json
import logging
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from freeseg_mm.cli.webdemo.form import Limits
from freeseg_mm.cli.webdemo.predictor import Predictor

pytest.importorskip('gradio')

from freeseg_mm.cli.webdemo.serve import (  # noqa: E402
    address_of,
    is_local,
    listen,
)
from freeseg_mm.cli.webdemo.server import delete_old_files  # noqa: E402


def test_predictions_and_files(page, black):
    kind, data = page.segment(black, 'cat, grass', 'cat')
    assert kind == 'complete', data
    summary, *parts, png, text = data
    assert summary.startswith('black.png: 96 x 64 pixels, 2 classes, ')
    tabs, pictures, legends = parts[::3], parts[1::3], parts[2::3]
    assert [tab['visible'] for tab in tabs] == [True] * 3
    for picture, legend in zip(pictures, legends, strict=True):
        with Image.open(BytesIO(page.downloaded(picture))) as image:
            assert image.format == 'PNG'
            assert image.size == (384, 256)
        assert 'cat</td>' in legend
    content = json.loads(page.downloaded(text['value']))
    assert content['source'] == 'black.png'
    assert content['panoptic'][0]['score'] == 0.75
    with Image.open(BytesIO(page.downloaded(png['value']))) as image:
        assert image.width > 4 * 384


def test_tasks_not_asked_for_are_hidden(page, black):
    _, data = page.segment(black, 'cat, grass', tasks=['semantic'])
    tabs = data[1:-2:3]
    assert [tab['visible'] for tab in tabs] == [False, False, True]
    assert data[2] is None


def test_twenty_users_get_their_own_words(
    serve, tiny_inferencer, noise, tmp_path
):
    """And their own image, in threads that all ask at once."""
    users = range(20)
    for user in users:
        image = Image.fromarray(noise(32 + user, 64, seed=user))
        image.save(tmp_path / f'image_{user}.png')

    def words_of(user):
        return [f'fruit {user}', f'animal {user}', f'house {user % 3}']

    with serve(Predictor(tiny_inferencer, Limits())) as page:

        def ask(user):
            kind, data = page.segment(
                tmp_path / f'image_{user}.png',
                ', '.join(words_of(user)),
                f'fruit {user}',
                ['semantic'],
            )
            assert kind == 'complete', data
            content = json.loads(page.downloaded(data[-1]['value']))
            return data, content

        with ThreadPoolExecutor(len(users)) as threads:
            predictions = list(threads.map(ask, users))
    for user, (data, content) in zip(users, predictions, strict=True):
        names = [entry['name'] for entry in content['classes']]
        assert names == words_of(user)
        assert [x['isthing'] for x in content['classes']] == [1, 0, 0]
        assert content['source'] == f'image_{user}.png'
        assert (content['height'], content['width']) == (32 + user, 64)
        legends = ''.join(data[3:-2:3])
        shown = {
            name
            for other in users
            for name in words_of(other)
            if f'{name}</td>' in legends or f'{name} <span' in legends
        }
        assert shown
        assert shown <= set(names)


@pytest.mark.parametrize(
    ('words', 'things', 'message'),
    [
        ('', '', 'no classes: write what to look for'),
        ('cat', 'cow', 'not among the classes: cow; the classes are cat'),
        ('<b>, <b>', '', '&lt;b&gt;'),
    ],
)
def test_messages(page, black, words, things, message):
    kind, data = page.segment(black, words, things)
    assert kind == 'error'
    assert message in data['error']
    # the next one is not harmed
    assert page.segment(black, 'cat, grass')[0] == 'complete'


def test_messages_about_images(serve, photo, tmp_path, noise):
    broken = tmp_path / 'broken.png'
    broken.write_bytes(photo.read_bytes()[:60])
    wide = tmp_path / 'wide.png'
    Image.new('RGB', (201, 10)).save(wide)
    loud = tmp_path / 'loud.png'
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (99, 99, 3), np.uint8)).save(loud)
    limits = Limits(max_upload_mb=0.02, max_side=200)
    with serve(Predictor(None, limits)) as page:
        kind, data = page.segment(None, 'cat')
        assert (kind, data['error'][:8]) == ('error', 'no image')
        kind, data = page.segment(broken, 'cat')
        assert kind == 'error'
        assert data['error'].startswith('broken.png: not an image')
        kind, data = page.segment(wide, 'cat')
        assert 'wide.png has 201 x 10 pixels' in data['error']
        status, reply = page.upload(loud)
        assert status == 413
        assert b'20000' in reply


@pytest.mark.parametrize('place', ['image', 'words'])
def test_only_uploads_are_read(page, photo, place):
    """Neither files of the server nor addresses, in any field."""
    for path in (str(photo), 'http://192.0.2.1/a.png', '/etc/hostname'):
        file = {'path': path, 'meta': {'_type': 'gradio.FileData'}}
        image, words = (file, 'a, b') if place == 'image' else (None, file)
        kind, reply = page.call([image, words, '', ['semantic'], 0.3])
        assert kind == 'error'
        assert 'this is no uploaded file' in reply['error']
        assert page.get(f'/gradio_api/file={path}')[0] in (403, 404)


def test_the_folder_of_uploads_is_no_file(serve, halves, black, monkeypatch):
    """It would end the deletion of old uploads."""
    with serve(halves) as page:
        assert page.segment(black, 'a, b')[0] == 'complete'
        folder = str(Path(os.environ['GRADIO_TEMP_DIR']))
        file = {'path': folder, 'meta': {'_type': 'gradio.FileData'}}
        kind, reply = page.call([file, 'a, b', '', ['semantic'], 0.3])
        assert kind == 'error'
        assert 'this is no uploaded file' in reply['error']


def test_nobody_else_is_asked(serve, halves, black, monkeypatch):
    asked = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def noted_connect(self, address):
        asked.append(address[0])
        return connect(self, address)

    def noted_look_up(host, *args, **kwargs):
        asked.append(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, 'connect', noted_connect)
    monkeypatch.setattr(socket, 'getaddrinfo', noted_look_up)
    with serve(halves) as page:
        _, headers, text = page.get('/')
        assert page.segment(black, 'cat, grass')[0] == 'complete'
        _, _, config = page.get('/config')
        _, _, theme = page.get('/theme.css')
    assert set(asked) == {'127.0.0.1'}
    assert json.loads(config)['analytics_enabled'] is False
    assert b'fonts.g' not in text + theme
    policy = headers['Content-Security-Policy']
    assert policy.startswith("default-src 'self' ")
    assert 'http' not in policy
    assert '*' not in policy


def test_nothing_is_left_behind(serve, halves, black, tmp_path, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    before = dict(os.environ)
    with serve(halves) as page:
        assert page.segment(black, 'cat, grass')[0] == 'complete'
        (folder,) = tmp_path.glob('freeseg_webdemo_*')
        kept = {path.name for path in folder.rglob('*') if path.is_file()}
        files = {'black_prediction.png', 'black_prediction.json'}
        assert {'black.png', *files} <= kept
    assert list(tmp_path.iterdir()) == [black]
    assert dict(os.environ) == before


def test_gradio_writes_no_stubs_into_the_package(page):
    """It does so for each component class that somebody defines."""
    from freeseg_mm.cli import webdemo

    assert not list(Path(webdemo.__file__).parent.glob('*.pyi'))


def test_logs_of_others_stay_open(serve, halves, tmp_path):
    """A server in one's own process does not end one's log files."""
    log = logging.getLogger('somebody')
    handler = logging.FileHandler(tmp_path / 'run.log', mode='w')
    log.addHandler(handler)
    try:
        with serve(halves):
            log.error('serving')
        log.error('served')
    finally:
        log.removeHandler(handler)
        handler.close()
    assert (tmp_path / 'run.log').read_text() == 'serving\nserved\n'


def test_a_free_port_is_found_and_named():
    with listen('127.0.0.1', 0) as listening:
        host, port = listening.getsockname()
        assert host == '127.0.0.1'
        assert address_of(listening) == f'http://127.0.0.1:{port}'
        socket.create_connection((host, port), timeout=60).close()


def test_all_addresses_are_named_by_one_that_can_be_opened():
    with listen('0.0.0.0', 0) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening) == f'http://127.0.0.1:{port}'


def test_a_taken_port_is_an_error_that_says_so():
    with listen('127.0.0.1', 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            OSError, match=f'cannot listen on 127.0.0.1, port {port} .*--port'
        ):
            listen('127.0.0.1', port)


@pytest.mark.parametrize('port', [-1, 2**16])
def test_no_such_port(port):
    with pytest.raises(ValueError, match=f'expected 0 to 65535, got {port}'):
        listen('127.0.0.1', port)


def test_an_address_of_another_machine():
    with pytest.raises(OSError, match='cannot listen on 192.0.2.1'):
        listen('192.0.2.1', 0)


@pytest.mark.parametrize(
    ('host', 'expected'),
    [
        ('127.0.0.1', True),
        ('localhost', True),
        ('127.evil.com', False),
        ('::1', True),
        ('0.0.0.0', False),
        ('192.0.2.1', False),
    ],
)
def test_local_hosts(host, expected):
    assert is_local(host) is expected


# --- bounds ------------------------------------------------------------------


@pytest.mark.parametrize(
    'path',
    [
        '/gradio_api/file=http://192.0.2.1/a.png',
        '/gradio_api/proxy=http://192.0.2.1/',
        '/gradio_api/deep_link?session_hash=a',
        '/gradio_api/process_recording',
        '/gradio_api/vibe-code',
        '/monitoring',
        '/docs',
    ],
)
def test_what_else_gradio_serves_is_closed(page, path):
    status, _, text = page.get(path)
    assert (status, json.loads(text)['detail']) == (
        404,
        'not part of this page',
    )


def test_requests_do_not_pass_the_queue_by(page, black):
    _, (name,) = page.upload(black)
    file = {'path': name, 'meta': {'_type': 'gradio.FileData'}}
    _, _, config = page.get('/config')
    (number,) = [
        x['id']
        for x in json.loads(config)['dependencies']
        if x['api_name'] == 'segment'
    ]
    data = [file, 'cat, grass', '', ['semantic'], 0.0]
    body = json.dumps({'data': data, 'fn_index': number}).encode()
    status, _, text = page.send('/gradio_api/run/predict', body)
    assert status == 404
    assert b'use the queue' in text or b'join the queue' in text


def test_bodies_are_bounded(serve):
    with serve(Predictor(None, Limits(max_upload_mb=0.1))) as page:
        body = b'{"data": [null, "%s"]}' % (b'a' * 2**20)
        status, _, text = page.send('/gradio_api/call/segment', body)
        assert status == 413
        assert b'up to 1048576 bytes in a request' in text
        # two files, each of an allowed size
        part = (
            b'--x\r\nContent-Disposition: form-data; name="files"; '
            b'filename="a.png"\r\n\r\n%s\r\n' % bytes(10**5)
        )
        kind = 'multipart/form-data; boundary=x'
        for parts, expected in ((1, 200), (2, 413)):
            body = part * parts + b'--x--\r\n'
            status, *_ = page.send('/gradio_api/upload', body, kind)
            assert status == expected


def test_old_sessions_and_results_are_forgotten(halves, black, monkeypatch):
    """Whether or not somebody has fetched them."""
    from freeseg_mm.cli.webdemo import page as page_module
    from freeseg_mm.cli.webdemo import server

    class Session:
        """What gradio's queue holds after 100 requests."""

        event_ids_to_events = {'e0': None}
        pending_event_ids_session = {
            f's{n}': set() if n % 4 == 1 else {f'e{n}'} for n in range(100)
        }
        pending_messages_per_session = dict.fromkeys(pending_event_ids_session)

    class Page:
        _queue = Session

    server._forget_sessions(Page)
    left = list(Session.pending_messages_per_session)
    assert left == list(Session.pending_event_ids_session)
    assert left[0] == 's0'  # waits
    unread = [f's{n}' for n in range(1, 100) if n % 4 != 1]
    assert left[1:] == unread[-server._UNREAD :]
    built = page_module.build_page(halves, [])
    queue = built._queue
    assert {
        *queue.pending_event_ids_session,
        *queue.event_ids_to_events,
        *queue.pending_messages_per_session,
    } == set()
    assert built.state_session_capacity < 100


def test_old_files_are_deleted(tmp_path):
    old, new, kept = (tmp_path / x / 'a.png' for x in ('old', 'new', 'kept'))
    for path in (kept, old, new):
        path.parent.mkdir()
        path.write_bytes(bytes(100))
        time.sleep(0.02)
    mine = {kept, kept.parent}
    assert delete_old_files(tmp_path, 60, 200, mine) == []
    assert delete_old_files(tmp_path, 60, 199, mine) == [old]
    assert old.parent.is_dir()  # somebody may be about to write there
    assert delete_old_files(tmp_path, 0, 200, mine) == [new]
    assert [x.name for x in tmp_path.iterdir()] == ['kept']
    assert kept.is_file()


def test_uploads_and_predictions_are_deleted(serve, black, halves):
    """But not what the page shows for everybody."""
    limits = Limits(keep_minutes=0.02)
    with serve(Predictor(halves._inferencer, limits)) as page:
        folder = Path(os.environ['GRADIO_TEMP_DIR'])
        examples = {*folder.rglob('*')}
        assert page.segment(black, 'cat, grass')[0] == 'complete'
        end = time.monotonic() + 60
        while {x for x, *_ in os.walk(folder)} - examples - {str(folder)}:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert {*folder.rglob('*')} == examples
