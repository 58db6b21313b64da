"""A tiny trained-like model in files, and images, for who asks it."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from freeseg_mm.structures import Vocabulary

__all__ = [
    'config_file',
    'inferencers',
    'make_video',
    'noise',
    'photo',
    'tiny_inferencer',
    'tiny_weights',
    'weights_dir',
]

TRAINED_ON = Vocabulary.from_names(
    ['cat', 'zebra', 'grass', 'sky'],
    things=['cat', 'zebra'],
    unseen=['zebra'],
    synonyms={'grass': ['lawn']},
    name='tiny',
)


@pytest.fixture(scope='session')
def weights_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('weights')


@pytest.fixture
def config_file(tiny_run_config, tmp_path):
    """The tiny run's config as one file."""
    path = tmp_path / 'tiny_run.py'
    tiny_run_config.dump(path)
    return path


@pytest.fixture
def tiny_weights(tiny_run_config, build_tiny_model, weights_dir):
    """Config file and checkpoint of a seeded model, as training leaves them.

    Its class scores are lively enough for segments and instances.
    """
    config, weights = weights_dir / 'config.py', weights_dir / 'tiny.pth'
    if not weights.exists():
        tiny_run_config.model.test_cfg.update(
            min_object_prob=0.0, object_score_thr=0.0, overlap_thr=0.0
        )
        model = build_tiny_model()
        with torch.no_grad():  # else all queries want the same
            for name, value in model.panoptic_head.named_parameters():
                if value.dim() > 1 and ('query' in name or 'embed' in name):
                    value.mul_(20 if name.startswith('query') else 4)
        # what mmseg reads
        pipeline = tiny_run_config.test_dataloader.dataset.pipeline
        tiny_run_config.test_pipeline = pipeline
        tiny_run_config.dump(config)
        torch.save(
            {
                'meta': {
                    'cfg': tiny_run_config.pretty_text,
                    'dataset_meta': {
                        'classes': TRAINED_ON.names,
                        'vocabulary': TRAINED_ON.to_dict(),
                    },
                },
                'state_dict': model.state_dict(),
                'freeseg_mm': {
                    'clip': model.clip.fingerprint,
                    'clip_model': model.clip.model_name,
                    'vocabulary': TRAINED_ON.content_hash,
                    'vocabulary_name': TRAINED_ON.name,
                },
            },
            weights,
        )
    return config, weights


@pytest.fixture(scope='session')
def inferencers():
    return []


@pytest.fixture
def tiny_inferencer(tiny_weights, inferencers):
    """One for all tests: calls leave nothing behind."""
    from freeseg_mm import FreeSegInferencer

    if not inferencers:
        inferencers.append(FreeSegInferencer(*tiny_weights, device='cpu'))
    return inferencers[0]


@pytest.fixture(scope='session')
def noise():
    """Make an RGB image of coloured noise, (H, W, 3) uint8."""

    def make(height=48, width=64, seed=0):
        generator = np.random.default_rng(seed)
        small = generator.integers(0, 256, (6, 8, 3), np.uint8)
        image = Image.fromarray(small).resize((width, height))
        return np.asarray(image)

    return make


@pytest.fixture
def make_video(tmp_path):
    """Write RGB frames of one size to a video, 5 a second; its path."""

    def make(frames, name='clip.avi', fps=5.0):
        path = tmp_path / name
        codec = {'.avi': 'MJPG', '.mp4': 'mp4v'}[path.suffix]
        height, width = frames[0].shape[:2]
        writer = cv2.VideoWriter(
            str(path), cv2.VideoWriter_fourcc(*codec), fps, (width, height)
        )
        if not writer.isOpened():
            pytest.skip(f'this OpenCV cannot write {codec} videos')
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
        return path

    return make


@pytest.fixture
def photo(noise, tmp_path):
    """A PNG file."""
    path = tmp_path / 'photo.png'
    Image.fromarray(noise()).save(path)
    return path
