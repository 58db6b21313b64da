"""CLIP's ids, written down, and open_clip's reading of them."""

import pytest
import torch

START, END, DOT = 49406, 49407, 269
WORDS = {
    'cat': [2368],
    'zebra': [22548],
    'grass': [5922],
    'lawn': [11024],
    'sky': [2390],
    'traffic light': [3399, 1395],
    'a photo of': [320, 1125, 539],
    'in this scene': [530, 589, 3562],
    'a photo': [320, 1125],
    'of': [539],
    'in this': [530, 589],
    'scene': [3562],
    'semantic segmentation.': [29119, 1550, 10551, 9512, DOT],
    'instance segmentation.': [34572, 10551, 9512, DOT],
    'panoptic segmentation.': [1072, 24755, 10551, 9512, DOT],
}


@pytest.fixture(scope='session')
def words():
    """Token ids of words, from OpenAI's vocabulary."""
    return {**WORDS, 'START': [START], 'END': [END], '.': [DOT]}


@pytest.fixture(scope='session')
def read(open_clip_twin, words):
    """Encode sequences of words with open_clip alone, 77 tokens long."""

    @torch.no_grad()
    def encode(*sentences):
        ids = torch.zeros(len(sentences), 77, dtype=torch.long)
        for row, parts in zip(ids, sentences, strict=True):
            tokens = [token for part in parts for token in words[part]]
            row[: len(tokens)] = torch.tensor(tokens)
        return open_clip_twin[0].encode_text(ids, normalize=True)

    return encode


@pytest.fixture
def spell(tiny_clip, words):
    """Let learned vectors be the embeddings of words."""

    def put(parameter, text):
        ids = torch.tensor(words[text])
        with torch.no_grad():
            parameter.copy_(tiny_clip.clip.token_embedding(ids))

    return put
