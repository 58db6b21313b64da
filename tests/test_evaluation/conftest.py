import numpy as np
import pytest

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import encode_panoptic_png


@pytest.fixture
def warned(logged):
    """What was logged as a warning, as a function: it grows."""
    return lambda: [text for level, text in logged if level == 'WARNING']


@pytest.fixture
def vocabulary():
    """cat and dog are things, dog and sky unseen."""
    return Vocabulary.from_names(
        ['cat', 'dog', 'grass', 'sky'],
        things=['cat', 'dog'],
        unseen=['dog', 'sky'],
        name='four',
    )


@pytest.fixture
def dataset_meta(vocabulary):
    return {
        'classes': vocabulary.names,
        'vocabulary': vocabulary.to_dict(),
    }


@pytest.fixture
def write_gt(tmp_path):
    """Write an id map and give the sample that points at it."""

    def write(ids, segments, name='gt'):
        path = tmp_path / f'{name}.png'
        ids = np.asarray(ids)
        encode_panoptic_png(ids, path)
        return {
            'img_id': name,
            'ori_shape': ids.shape,
            'seg_map_path': str(path),
            'segments': [
                {'id': i, 'label': label, 'iscrowd': crowd}
                for i, label, crowd in segments
            ],
        }

    return write
