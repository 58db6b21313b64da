"""CLIPs of several kinds, all tiny."""

import json

import pytest


@pytest.fixture
def make_tower(tiny_clip_config, tmp_path):
    """Make a CLIP, its tokenizer and our way into it, from config changes."""

    def make(name='variant_clip', text_cfg=None, **changes):
        import open_clip
        import torch

        from freeseg_mm.models.clip import TextTower

        with open(tiny_clip_config.model) as file:
            content = json.load(file)
        content['text_cfg'].update(text_cfg or {})
        content.update(changes)
        path = tmp_path / f'{name}.json'
        path.write_text(json.dumps(content))
        open_clip.add_model_config(path)
        clip = open_clip.create_model(name).eval().requires_grad_(False)
        # biases and scales start as zeros and ones, which hide mistakes
        for parameter in clip.parameters():
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, mean=0.5, std=0.3)
        tokenizer = open_clip.get_tokenizer(name)
        return clip, tokenizer, TextTower(clip, tokenizer)

    return make
