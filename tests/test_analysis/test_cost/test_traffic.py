import pytest
import torch

from freeseg_mm.analysis.cost.probes import count_traffic
from freeseg_mm.registry import MODELS


@pytest.fixture
def clip(tiny_clip_config):
    return MODELS.build(tiny_clip_config).eval()


def test_images(clip):
    with count_traffic(clip) as counts:
        clip.encode_images(torch.rand(3, 3, 32, 32))
        clip.encode_images(torch.rand(2, 3, 32, 32))
    assert counts == {'CLIP images': 5, 'text prompts': 0, 'text tokens': 0}


def test_prompts_and_tokens(clip):
    with torch.no_grad(), count_traffic(clip) as counts:
        clip.text.encode(torch.rand(3, 5, 32), torch.tensor([4, 2, 3]))
    assert counts['text prompts'] == 3
    # the batch is as long as the longest prompt
    assert counts['text tokens'] == 15


def test_a_shared_beginning_passes_once(clip):
    with torch.no_grad(), count_traffic(clip) as counts:
        clip.text.encode(
            torch.rand(3, 5, 32), torch.tensor([4, 2, 3]), torch.rand(7, 32)
        )
    assert counts['text prompts'] == 3
    # the beginning, then 5 + 3 + 4 tokens
    assert counts['text tokens'] == 7 + 12


def test_counts_nothing_afterwards(clip):
    with count_traffic(clip) as counts:
        clip.encode_images(torch.rand(2, 3, 32, 32))
    clip.encode_images(torch.rand(1, 3, 32, 32))
    assert counts['CLIP images'] == 2
