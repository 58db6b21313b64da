import json

import pytest


@pytest.fixture
def tiny_config_file(tiny_config, tmp_path):
    """The tiny config as a file that mmengine reads."""
    path = tmp_path / 'tiny.json'
    path.write_text(json.dumps(tiny_config.to_dict()))
    return str(path)
