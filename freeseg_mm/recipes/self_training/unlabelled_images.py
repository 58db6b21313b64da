"""Training images with the pixels that may get a pseudo label."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import Compose
from torch.utils.data import Dataset

from freeseg_mm.datasets import LoadPanopticSegments, OpenVocabPanopticDataset
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.image_files import check_image_file

_OF_THE_IMAGE = ('img_id', 'img_path', 'height', 'width')


class UnlabelledImages(Dataset):
    """Images as a test shows them, each with its unlabelled pixels.

    What is unlabelled comes from the training's own loader, in which labels
    of unseen classes are void already; the model is shown nothing else of
    the truth.

    Args:
        dataset: The training data with ``split='seen'``, nothing left out.
        indices: Which of its images.
        pipeline: The test's transforms.
        vocabulary: What the model is asked for.
    """

    def __init__(
        self,
        dataset: OpenVocabPanopticDataset,
        indices: Sequence[int],
        pipeline: Sequence[dict],
        vocabulary: Vocabulary,
    ) -> None:
        self._dataset = dataset
        self._indices = indices
        self._pipeline = Compose(list(pipeline))
        self._vocabulary = vocabulary
        self._load_gt = LoadPanopticSegments()

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """What the test pipeline packs, with ``index`` and ``unlabelled``.

        Raises:
            FileNotFoundError: If the image or its PNG is missing.
            ValueError: If one of them is damaged or of another size.
        """
        index = self._indices[position]
        record = self._dataset.get_data_info(index)
        size = record['height'], record['width']
        check_image_file(Path(record['img_path']), size)
        packed = self._pipeline(
            {key: record[key] for key in _OF_THE_IMAGE}
            | {'vocabulary': self._vocabulary}
        )
        gt = self._load_gt.transform(record | {'ori_shape': size})
        unlabelled: np.ndarray = gt['gt_seg_map'] == 0
        return {'index': index, 'unlabelled': unlabelled, 'packed': packed}
