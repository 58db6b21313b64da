import numpy as np
import pytest
from PIL import Image

from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import encode_panoptic_png


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
def make_tested(tmp_path):
    """Write an image with its ground truth and give the sample as tested.

    Ground truth and prediction are maps of labels, -1 for none; each label
    is one segment, with its label plus 1 as its id.
    """

    def segments(labels):
        return [
            {'id': int(label) + 1, 'label': int(label), 'iscrowd': 0}
            for label in np.unique(labels)
            if label >= 0
        ]

    def make(gt, prediction, name='image'):
        gt, prediction = np.asarray(gt), np.asarray(prediction)
        encode_panoptic_png(gt + 1, tmp_path / f'{name}_ids.png')
        path = tmp_path / f'{name}.png'
        Image.new('RGB', gt.shape[::-1], (90, 120, 150)).save(path)
        things = [label for label in np.unique(prediction) if 0 <= label < 2]
        return {
            'img_id': name,
            'img_path': str(path),
            'ori_shape': gt.shape,
            'seg_map_path': str(tmp_path / f'{name}_ids.png'),
            'segments': segments(gt),
            'pred_sem_seg': {'sem_seg': prediction[None]},
            'pred_panoptic_seg': {
                'sem_seg': prediction[None] + 1,
                'segments_info': segments(prediction),
            },
            'pred_instances': {
                'masks': np.stack([prediction == i for i in things])
                if things
                else np.zeros((0, *gt.shape), bool),
                'labels': np.array(things, int),
                'scores': np.full(len(things), 0.9),
            },
        }

    return make
