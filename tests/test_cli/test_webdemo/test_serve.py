"""Predictions by HTTP, asked for as well and as badly as clients do."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from zoo_fixtures import *  # noqa: F403

from freeseg_mm.cli import main
from freeseg_mm.cli.webdemo.form import Limits

pytest.importorskip('fastapi')
httpx = pytest.importorskip('httpx')

from freeseg_mm.cli.webdemo.serve import (  # noqa: E402
    Batcher,
    address_of,
    http_server,
    listen,
)

PATIENCE = 300  # as of the page


class Stream:
    """Predicts halves, in batches; notes them, and may be held up."""

    def __init__(self, predict):
        self._predict = predict
        self.batches = []
        self.go = threading.Event()
        self.go.set()

    def stream(self, images, words, *, batch_size, **options):
        self.batches.append((len(images), batch_size, words))
        self.go.wait(PATIENCE)
        for pixels in images:
            yield from self._predict(pixels, words, **options)


@contextmanager
def running(inferencer, limits=None, **options):
    """A server and its client."""
    with listen('127.0.0.1', 0) as listening:
        batcher = Batcher(inferencer, limits or Limits(), **options)
        server = http_server(batcher)
        thread = threading.Thread(
            target=server.run, kwargs={'sockets': [listening]}
        )
        thread.start()
        address = address_of(listening)
        try:
            with httpx.Client(
                base_url=address, timeout=PATIENCE, trust_env=False
            ) as client:
                yield SimpleNamespace(
                    batcher=batcher,
                    address=address,
                    get=client.get,
                    post=client.post,
                )
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()


def png(pixels=None, size=(96, 64)):
    content = BytesIO()
    image = Image.new('RGB', size) if pixels is None else pixels
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(content, 'PNG')
    return content.getvalue()


def ask(server, content=None, **data):
    files = {} if content is None else {'image': ('a.png', content)}
    return server.post(
        '/predict', data={'classes': 'cat, grass', **data}, files=files
    )


@pytest.fixture
def stream(predict_halves):
    return Stream(predict_halves)


@pytest.fixture(scope='module')
def halves(predict_halves):
    with running(Stream(predict_halves)) as server:
        yield server


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_json_and_picture(halves):
    reply = ask(halves, png(), things='cat')
    assert reply.status_code == 200, reply.text
    content = reply.json()
    assert content['source'] == 'image'
    assert (content['height'], content['width']) == (64, 96)
    assert [x['isthing'] for x in content['classes']] == [1, 0]
    assert content['panoptic'][0]['score'] == 0.75
    assert content['panoptic'][0]['segmentation']['size'] == [64, 96]
    assert {'semantic', 'instances', 'panoptic'} <= set(content)
    one = ask(halves, png(), tasks=['semantic']).json()
    assert 'instances' not in one
    reply = ask(halves, png(), format='png')
    assert reply.headers['content-type'] == 'image/png'
    with Image.open(BytesIO(reply.content)) as picture:
        assert picture.width > 4 * 96


def test_health_and_description(halves):
    assert halves.get('/health').json() == {'status': 'ok', 'waiting': 0}
    described = halves.get('/openapi.json').json()
    assert set(described['paths']) == {'/health', '/predict'}
    assert halves.get('/docs').status_code == 404


@pytest.mark.parametrize(
    ('content', 'data', 'status', 'message'),
    [
        (None, {}, 400, 'expected one of image and url'),
        (b'no image', {}, 400, 'not an image that can be read'),
        (png()[:60], {}, 400, 'not an image that can be read'),
        (png(), {'classes': ' , '}, 400, 'no classes: write what to look'),
        (png(), {'classes': 'a, a'}, 400, "more than once: ['a']"),
        (png(), {'classes': '|'}, 400, 'has an empty synonym'),
        (png(), {'classes': 'a,' * 2000}, 400, 'takes up to 1,000'),
        (png(), {'things': 'cow'}, 400, 'not among the classes: cow'),
        (png(), {'tasks': 'boxes'}, 422, "'semantic', 'instance' or"),
        (png(), {'score_thr': '3'}, 422, 'less than or equal to 1'),
        (png(), {'score_thr': 'x'}, 422, 'valid number'),
        (png(), {'format': 'gif'}, 422, "'json' or 'png'"),
        (png(), {'url': 'http://a.b/c'}, 400, 'expected one of image and'),
        (None, {'url': 'file:///etc/passwd'}, 400, 'expected a URL http'),
        (None, {'url': 'ADDRESS/health'}, 400, 'private network'),
        (png(size=(5000, 2)), {}, 400, 'has 5000 x 2 pixels'),
    ],
)
def test_bad_requests(halves, content, data, status, message):
    data = {k: v.replace('ADDRESS', halves.address) for k, v in data.items()}
    reply = ask(halves, content, **data)
    assert reply.status_code == status
    assert message in json.dumps(reply.json()).replace('\\"', '"')
    assert 'freeseg_serve_' not in reply.text
    assert '/tmp' not in reply.text
    # the next one is not harmed
    assert ask(halves, png()).status_code == 200


def test_urls(server, noise, stream):
    url = server.serve('/photo.png', png(noise(50, 70)))
    with running(stream) as service:
        content = ask(service, url=url).json()
        assert (content['height'], content['width']) == (50, 70)
        reply = ask(service, url=url.replace('photo', 'none'))
        assert reply.status_code == 400
        assert 'the server says 404' in reply.json()['detail']


def test_uploads_that_are_too_large(stream):
    """By what they promise, and by what they send."""
    limits = Limits(max_upload_mb=0.1)
    with running(stream, limits) as service:
        random = np.random.default_rng(0)
        content = png(random.integers(0, 256, (200, 300, 3), np.uint8))
        assert len(content) > 180_000
        reply = ask(service, content)
        assert reply.status_code == 413
        assert reply.text == 'Content Too Large'
        head = (
            b'--x\r\nContent-Disposition: form-data; name="image"; '
            b'filename="a.png"\r\n\r\n'
        )
        reply = service.post(
            '/predict',
            content=iter([head, *[bytes(50_000)] * 4]),
            headers={'content-type': 'multipart/form-data; boundary=x'},
        )
        assert reply.status_code == 413
        middle = png(random.integers(0, 256, (180, 200, 3), np.uint8))
        reply = ask(service, middle)  # the form leaves room that images lack
        assert reply.status_code == 400
        assert 'takes up to 0.1' in reply.json()['detail']
        assert ask(service, png()).status_code == 200


def test_twenty_clients_get_what_each_would_alone(tiny_inferencer, noise):
    """Own images and words; those of one size and words share passes."""
    words = ['cat, grass', 'house, dragon, sky']
    clients = [
        (words[index % 2], noise(32 + 16 * (index % 3 == 0), 64, seed=index))
        for index in range(20)
    ]
    seen = []

    class Noted:
        def stream(self, images, classes, **options):
            seen.append((len(images), {x.shape for x in images}, classes))
            return tiny_inferencer.stream(images, classes, **options)

    with running(Noted(), batch_size=4) as service:

        def one(client):
            classes, pixels = client
            reply = ask(service, png(pixels), classes=classes, score_thr='0.0')
            assert reply.status_code == 200, reply.text
            return reply.json()

        with ThreadPoolExecutor(20) as threads:
            replies = list(threads.map(one, clients))
    for (classes, pixels), reply in zip(clients, replies, strict=True):
        (alone,) = tiny_inferencer(
            pixels,
            classes.split(', '),
            channel_order='rgb',
            score_thr=0.0,
        )
        expected = json.loads(json.dumps(alone.to_json()))
        assert reply['classes'] == expected['classes']
        assert reply['semantic'] == expected['semantic']
        for task in ('instances', 'panoptic'):
            assert len(reply[task]) == len(expected[task])
            for found, other in zip(reply[task], expected[task], strict=True):
                assert found['score'] == pytest.approx(
                    other['score'], abs=1e-4
                )
                assert found['category_id'] == other['category_id']
    assert sum(number for number, *_ in seen) == 20
    assert all(len(shapes) == 1 for _, shapes, _ in seen)
    assert max(number for number, *_ in seen) > 1


def test_a_client_that_leaves_gives_up_its_turn(stream):
    inferencer = stream
    with running(inferencer, batch_size=1) as service:
        inferencer.go.clear()
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(ask, service, png())
            wait_until(lambda: inferencer.batches)
            body = httpx.Request(
                'POST',
                service.address + '/predict',
                data={'classes': 'left'},
                files={'image': ('a.png', png())},
            )
            host, port = service.address.removeprefix('http://').split(':')
            gone = socket.create_connection((host, int(port)))
            head = '\r\n'.join(
                ['POST /predict HTTP/1.1']
                + [f'{name}: {value}' for name, value in body.headers.items()]
            )
            gone.sendall(f'{head}\r\n\r\n'.encode() + body.read())
            wait_until(lambda: len(service.batcher.waiting) == 1)
            assert service.get('/health').json()['waiting'] == 1
            gone.close()
            wait_until(lambda: not service.batcher.waiting)
            inferencer.go.set()
            assert first.result().status_code == 200
        assert ask(service, png()).status_code == 200
    assert all('left' not in words for *_, words in inferencer.batches)


def test_a_full_queue_refuses(stream):
    inferencer = stream
    with running(inferencer, batch_size=1, max_waiting=2) as service:
        inferencer.go.clear()
        with ThreadPoolExecutor(3) as threads:
            asked = [threads.submit(ask, service, png())]
            wait_until(lambda: inferencer.batches)
            asked += [threads.submit(ask, service, png()) for _ in range(2)]
            wait_until(lambda: len(service.batcher.waiting) == 2)
            reply = ask(service, png())
            assert reply.status_code == 503
            assert reply.headers['retry-after'] == '5'
            inferencer.go.set()
            assert {x.result().status_code for x in asked} == {200}


def test_an_image_that_cannot_be_predicted_harms_no_other(
    tiny_inferencer, noise
):
    """Nor does an error of the network end the server."""

    class Broken:
        def stream(self, images, classes, **options):
            if 'break' in classes:
                raise RuntimeError('out of memory')
            return tiny_inferencer.stream(images, classes, **options)

    with running(Broken()) as service:
        reply = ask(service, png(), classes='break')
        assert reply.status_code == 500
        assert ask(service, png()).status_code == 200


@pytest.mark.slow
def test_schemathesis(halves):
    """Whatever the description allows, and what it does not."""
    schemathesis = pytest.importorskip('schemathesis')
    hypothesis = pytest.importorskip('hypothesis')
    schema = schemathesis.openapi.from_url(halves.address + '/openapi.json')
    # no description tells which bytes are an image
    left_out = [schemathesis.checks.positive_data_acceptance]
    tried = []

    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy()

        @hypothesis.settings(
            max_examples=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=strategy)
        def check(case):
            case.call_and_validate(excluded_checks=left_out)
            tried.append(case.operation.label)

        check()
    assert set(tried) == {'GET /health', 'POST /predict'}
    assert ask(halves, png()).status_code == 200


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--port', '70000'], 'expected 0 to 65535, got 70000'),
        (['--batch-size', '0'], '--batch-size: expected at least 1'),
        (['--queue', '0'], '--queue: expected at least 1'),
        (['--max-upload-mb', '0'], 'max_upload_mb: expected a finite'),
    ],
)
def test_mistakes_are_one_sentence(arguments, message, capsys):
    assert main(['serve', '--port', '0', *arguments]) == 1
    assert message in capsys.readouterr().err
