"""A page that runs, and who asks it without a browser."""

import json
import threading
import urllib.request
from contextlib import contextmanager
from urllib.error import HTTPError
from uuid import uuid4

import numpy as np
import pytest
from inference_fixtures import *  # noqa: F403
from PIL import Image

from freeseg_mm.apis.results import ImageResult, Instance, PanopticSegment
from freeseg_mm.apis.vocabulary import read_classes
from freeseg_mm.cli.webdemo.form import Limits
from freeseg_mm.cli.webdemo.predictor import Predictor
from freeseg_mm.structures import Task

# A loaded machine may take its time; nothing waits this long otherwise.
PATIENCE = 300


class Halves:
    """Finds the first word left and the second right, and nothing else.

    What a network would do depends on rounding; this does not.
    """

    def __call__(self, pixels, words, *, things, tasks, score_thr):
        vocabulary = read_classes(words, things=things, unseen=words[1:2])
        height, width = pixels.shape[:2]
        left = np.arange(width) < width // 2
        left = np.repeat(left[None], height, axis=0)
        names = vocabulary.names
        found = {}
        if 'semantic' in tasks:
            found['label_map'] = np.where(left, 0, 1).astype(np.int32)
        if 'instance' in tasks:
            found['instances'] = (
                Instance.from_mask(0, names[0], 0.875, left),
            )
        if 'panoptic' in tasks:
            found['segment_map'] = left.astype(np.int32)
            found['segments'] = (
                PanopticSegment(
                    1,
                    0,
                    names[0],
                    vocabulary.is_thing[0],
                    0.75,
                    int(left.sum()),
                ),
            )
        image = np.ascontiguousarray(pixels[..., ::-1])
        return [ImageResult('array 0', image, vocabulary, **found)]


@pytest.fixture(scope='session')
def predict_halves():
    return Halves()


@pytest.fixture(scope='session')
def halves(predict_halves):
    return Predictor(predict_halves, Limits())


@pytest.fixture
def black(tmp_path):
    """A black PNG of 96 x 64, large enough for names."""
    path = tmp_path / 'black.png'
    Image.new('RGB', (96, 64)).save(path)
    return path


@pytest.fixture(scope='session')
def serve():
    """Run the page of a predictor; gives its client, stops it in the end."""
    pytest.importorskip('gradio')
    from freeseg_mm.cli.webdemo.serve import address_of, listen
    from freeseg_mm.cli.webdemo.server import prepared_server

    @contextmanager
    def running(predictor):
        with (
            listen('127.0.0.1', 0) as listening,
            prepared_server(predictor) as server,
        ):
            thread = threading.Thread(
                target=server.run, kwargs={'sockets': [listening]}
            )
            thread.start()
            try:
                yield PageClient(address_of(listening))
            finally:
                server.should_exit = True
                thread.join(PATIENCE)
                assert not thread.is_alive()

    return running


@pytest.fixture(scope='session')
def page_client():
    """Make a client of a page, from its URL."""
    return PageClient


@pytest.fixture(scope='module')
def page(serve, halves):
    """The page of :class:`Halves`."""
    with serve(halves) as running:
        yield running


class PageClient:
    """Asks a page as a browser does."""

    def __init__(self, url):
        self.url = url
        # whatever proxy the machine has
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({})
        )

    def get(self, path):
        return self.send(path, None)

    def send(self, path, body, kind='application/json'):
        """Status, headers and bytes."""
        address = path if path.startswith('http') else self.url + path
        request = urllib.request.Request(
            address, body, {'Content-Type': kind} if body else {}
        )
        try:
            with self._opener.open(request, timeout=PATIENCE) as reply:
                return reply.status, reply.headers, reply.read()
        except HTTPError as error:
            return error.code, error.headers, error.read()

    def upload(self, path):
        """Status, and what the server calls the file."""
        mark = uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="files"; '
            f'filename="{path.name}"\r\n\r\n'
        )
        body = (
            head.encode() + path.read_bytes() + f'\r\n--{mark}--\r\n'.encode()
        )
        status, _, text = self.send(
            '/gradio_api/upload', body, f'multipart/form-data; boundary={mark}'
        )
        return status, json.loads(text) if status == 200 else text

    def segment(
        self,
        image,
        words,
        things='',
        tasks=tuple(task.value for task in Task),
        score=0.0,
    ):
        """Press the button: the event that ended it, and its data."""
        if image is not None:
            status, (name,) = self.upload(image)
            assert status == 200
            image = {'path': name, 'meta': {'_type': 'gradio.FileData'}}
        return self.call([image, words, things, list(tasks), score])

    def call(self, data):
        path = '/gradio_api/call/segment'
        status, _, text = self.send(path, json.dumps({'data': data}).encode())
        assert status == 200, text
        event = json.loads(text)['event_id']
        _, _, stream = self.get(f'{path}/{event}')
        replies = stream.decode().strip().split('\n\n')
        last = [reply for reply in replies if 'event: heartbeat' not in reply][
            -1
        ]
        kind, _, content = last.partition('\ndata: ')
        return kind.removeprefix('event: '), json.loads(content)

    def downloaded(self, file):
        """Bytes of a file of a prediction."""
        status, _, content = self.get(file['url'])
        assert status == 200
        return content
