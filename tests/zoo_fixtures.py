"""A zoo of one small model, and a server that is as bad as a test wants."""

import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

__all__ = [
    'as_released',
    'released_state',
    'released_weights',
    'server',
    'tiny_zoo',
]


@dataclass
class Served:
    """What a path of the server has, and how it is served.

    ``cut`` bytes only are sent of what is promised, by the next response
    alone; ``pages`` are sent first, one a request, instead of the file. It
    waits ``delay`` seconds before a response, ``stall`` before its end.
    """

    content: bytes
    ranges: bool = True
    etag: str | None = '"1"'
    status: int = 200
    content_type: str = 'application/octet-stream'
    length: int | None = None
    cut: int | None = None
    delay: float = 0.0
    stall: float = 0.0
    pages: list[bytes] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append((self.path, dict(self.headers)))
        served = server.files.get(self.path.split('?')[0])
        if served is None:
            return self.send_error(404)
        time.sleep(served.delay)
        if served.pages:
            page = served.pages.pop(0)
            self.send_response(200)
            self.send_header('Content-Type', 'text/html; charset=utf-8')
            self.send_header('Content-Length', str(len(page)))
            self.end_headers()
            return self.wfile.write(page)
        body, total = served.content, len(served.content)
        start = re.match(r'bytes=(\d+)-', self.headers.get('Range', ''))
        start = int(start[1]) if start else 0
        version = self.headers.get('If-Range')
        same = version is None or version == served.etag
        partial = bool(start) and served.ranges and same
        if partial and start >= total:
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{total}')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        self.send_response(206 if partial else served.status)
        if partial:
            body = body[start:]
            self.send_header(
                'Content-Range', f'bytes {start}-{total - 1}/{total}'
            )
        self.send_header('Content-Type', served.content_type)
        if served.etag:
            self.send_header('ETag', served.etag)
        self.send_header('Content-Length', str(served.length or len(body)))
        self.end_headers()
        if served.cut is not None:
            body, served.cut = body[: served.cut], None
        self.wfile.write(body)
        if served.stall:
            self.wfile.flush()
            server.released.wait(served.stall)
        return None

    def log_message(self, *_):
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.files, self.requests = {}, []
        self.released = threading.Event()

    def serve(self, path, content, **how):
        """Offer a file; its address."""
        self.files[path] = Served(content, **how)
        return f'http://127.0.0.1:{self.server_port}{path}'


@pytest.fixture
def server(private_urls):
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


# From a name of ours to the authors', the other way than the package's rules.
RELEASED = [
    (r'backbone\.stem\.(\d)\.(.*)', lambda m: _stem(int(m[1])) + m[2]),
    (r'(backbone\.)layer(\d)\.(.*)', lambda m: _block(m)),
    (
        r'panoptic_head\.cls_embed\.no_object',
        'clip_adapter.non_object_embedding',
    ),
    (
        r'panoptic_head\.cls_embed\.project\.(\d)',
        lambda m: f'{PREDICTOR}class_embed.layers.{int(m[1]) // 2}',
    ),
    (
        r'panoptic_head\.mask_embed\.(\d)',
        lambda m: f'{PREDICTOR}mask_embed.layers.{int(m[1]) // 2}',
    ),
    (r'panoptic_head\.context_interaction', 'sem_seg_head.interaction'),
    ('visual_norm', 'layer_norm_q_1'),
    ('text_norm', 'layer_norm_k_1'),
    (
        r'interaction\.(query|key|value)\.',
        lambda m: f'interaction.attn.{m[1][0]}_proj.',
    ),
    (r'interaction\.output\.', 'interaction.attn.out_proj.'),
    (
        r'prompt_learner\.class_prompt',
        'clip_adapter.prompt_learner.prefix_prompt',
    ),
    (
        r'^prompt_learner\.task_prompt',
        'clip_adapter.prompt_learner.task_prompt',
    ),
    (r'panoptic_head\.pixel_decoder', 'sem_seg_head.pixel_decoder'),
    (r'input_convs\.(\d)\.conv', r'input_proj.\1.0'),
    (r'input_convs\.(\d)\.gn', r'input_proj.\1.1'),
    (r'level_encoding\.weight', 'transformer.level_embed'),
    (r'mask_feature\.', 'mask_features.'),
    (r'lateral_convs\.0\.(conv\.)?', 'adapter_1.'),
    (r'output_convs\.0\.(conv\.)?', 'layer_1.'),
    (r'(adapter_1|layer_1)\.gn', r'\1.norm'),
    (r'pixel_decoder\.encoder', 'pixel_decoder.transformer.encoder'),
    (r'(encoder\.layers\.\d)\.norms\.0', r'\1.norm1'),
    (r'(encoder\.layers\.\d)\.norms\.1', r'\1.norm2'),
    (r'(encoder\.layers\.\d)\.ffn\.layers\.0\.0', r'\1.linear1'),
    (r'(encoder\.layers\.\d)\.ffn\.layers\.1', r'\1.linear2'),
    (
        r'panoptic_head\.transformer_decoder\.layers\.(\d)\.(.*)',
        lambda m: f'{PREDICTOR}{_layer(m[1], m[2])}',
    ),
    (
        r'panoptic_head\.transformer_decoder\.post_norm',
        'sem_seg_head.predictor.decoder_norm',
    ),
    (r'panoptic_head\.', 'sem_seg_head.predictor.'),
]
PREDICTOR = 'sem_seg_head.predictor.'


def _stem(place):
    kind = '.norm.' if place % 3 else '.'
    return f'backbone.stem.conv{place // 3 + 1}{kind}'


def _block(found):
    rest = re.sub(r'\bbn(\d)', r'conv\1.norm', found[3])
    rest = rest.replace('downsample.0', 'shortcut')
    rest = rest.replace('downsample.1', 'shortcut.norm')
    return f'backbone.res{int(found[2]) + 1}.{rest}'


def _layer(index, rest):
    cross, own, ffn = (
        f'transformer_{kind}_layers.{index}.'
        for kind in ('cross_attention', 'self_attention', 'ffn')
    )
    for ours, theirs in {
        'cross_attn.attn.': f'{cross}multihead_attn.',
        'self_attn.attn.': f'{own}self_attn.',
        'norms.0.': f'{cross}norm.',
        'norms.1.': f'{own}norm.',
        'norms.2.': f'{ffn}norm.',
        'ffn.layers.0.0.': f'{ffn}linear1.',
        'ffn.layers.1.': f'{ffn}linear2.',
    }.items():
        if rest.startswith(ours):
            return theirs + rest.removeprefix(ours)
    raise AssertionError(rest)


def released_name(name):
    for pattern, target in RELEASED:
        name = re.sub(pattern, target, name)
    return name


def as_released(state):
    """From a state dict of ours to one as the authors of FreeSeg save it."""
    released = {}
    for name, value in state.items():
        if name.endswith('num_batches_tracked'):
            continue
        if name.endswith('no_object'):
            value = value[None]
        released[released_name(name)] = value
    for name in ('clip_model.positional_embedding', 'pixel_mean'):
        released[f'clip_adapter.{name}'] = torch.ones(3)
    released['clip_adapter.prompt_learner.end_signal'] = torch.ones(1, 4)
    released['criterion.empty_weight'] = torch.ones(5)
    assert len(released) == 4 + sum(
        not name.endswith('num_batches_tracked') for name in state
    )
    return released


@pytest.fixture
def released_state():
    """The function :func:`as_released`."""
    return as_released


@dataclass(frozen=True)
class TinyZoo:
    """A zoo of one model, ``tiny``, in the current folder."""

    root: object
    home: object
    config: object
    original: object
    weights: object
    server: object

    @property
    def checkpoint(self):
        return self.home / 'models/tiny.pth'


@pytest.fixture
def released_weights(tiny_run_config, build_tiny_model, weights_dir):
    """Config file and checkpoint of a model with the authors' deep stem."""
    config, weights = weights_dir / 'released.py', weights_dir / 'released.pth'
    if not weights.exists():
        tiny_run_config.model.backbone.update(
            type='mmseg.ResNetV1c', stem_channels=8
        )
        pipeline = tiny_run_config.test_dataloader.dataset.pipeline
        tiny_run_config.test_pipeline = pipeline  # what mmseg reads
        model = build_tiny_model(tiny_run_config.model)
        tiny_run_config.dump(config)
        content = {
            'meta': {'cfg': tiny_run_config.pretty_text},
            'state_dict': model.state_dict(),
            'freeseg_mm': {
                **model.clip.notes,
                'vocabulary': '0' * 16,
                'vocabulary_name': 'unknown',
            },
        }
        torch.save(content, weights)
    return config, weights


@pytest.fixture
def tiny_zoo(released_weights, released_state, server, tmp_path, monkeypatch):
    """Serve a tiny model as the authors' release, and index it."""
    config, weights = released_weights
    root, home = tmp_path / 'here', tmp_path / 'home'
    (root / 'configs/zoo').mkdir(parents=True)
    original = tmp_path / 'original.pth'
    state = torch.load(weights, weights_only=True)['state_dict']
    torch.save({'model': released_state(state), 'iteration': 9}, original)
    url = server.serve('/tiny', original.read_bytes())
    zoo = {
        'url': url,
        'file': 'tiny_released.pth',
        'sha256': None,
        'licence': 'Apache-2.0',
        'source': 'a test',
        'layout': 'released',
        'vocabulary': 'voc20',
        'reported': {'ade20k': {'PQ': 12.5}},
    }
    indexed = root / 'configs/zoo/tiny.py'
    indexed.write_text(f'{config.read_text()}\nzoo = {zoo}\n')
    monkeypatch.chdir(root)
    monkeypatch.setenv('FREESEG_MM_HOME', str(home))
    return TinyZoo(root, home, indexed, original, weights, server)
