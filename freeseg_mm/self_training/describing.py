"""What pseudo labels are of: images, classes, weights, as JSON holds it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from freeseg_mm.apis.weights import WeightsInfo
from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.structures import Vocabulary


def seen_truth(
    dataset: OpenVocabPanopticDataset, index: int
) -> dict[str, Any]:
    """What is known of an image and its seen segments; nothing unseen."""
    record = dataset.get_data_info(index)
    return image_entry(dataset, index) | {
        'png': png_name(dataset, record),
        'seen': [segment['id'] for segment in record['segments']],
    }


def image_entry(
    dataset: OpenVocabPanopticDataset, index: int
) -> dict[str, Any]:
    """An image's entry of a COCO JSON."""
    record = dataset.get_data_info(index)
    name = Path(record['img_path']).relative_to(dataset.data_prefix['img'])
    return {
        'id': record['img_id'],
        'file_name': name.as_posix(),
        'height': record['height'],
        'width': record['width'],
    }


def png_name(dataset: OpenVocabPanopticDataset, record: dict[str, Any]) -> str:
    """File name of an image's id PNG, below its folder."""
    path = Path(record['seg_map_path'])
    return path.relative_to(dataset.data_prefix['seg']).as_posix()


def unseen_categories(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Entries of the unseen classes; ids are places in the vocabulary + 1."""
    return [
        {'id': i + 1, 'name': name, 'isthing': int(vocabulary.is_thing[i])}
        for i, name in enumerate(vocabulary.names)
        if not vocabulary.is_seen[i]
    ]


def json_digest(content: Any) -> str:
    """Digest of what JSON can hold, 16 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]


def weights_digest(checkpoint: Path) -> str:
    """Digest of the parameters: the file has the time of writing too."""
    digest = hashlib.sha256()
    for name, value in (
        WeightsInfo.read(checkpoint).content['state_dict'].items()
    ):
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
