"""What pseudo labels hold, in a table and a few pictures."""

from typing import Any

import numpy as np
from PIL import Image

from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.datasets.pseudo_labels import PseudoLabelFiles
from freeseg_mm.structures import Task
from freeseg_mm.utils.panoptic_png import decode_panoptic_png
from freeseg_mm.visualization import Region, TaskRegions, panel


def summarise(content: dict[str, Any]) -> str:
    """Segments, pixels and mean score of each class, as a table to read.

    Args:
        content: The JSON of the pseudo labels.
    """
    names = {c['id']: c['name'] for c in content['categories']}
    found: dict[str, list[dict[str, Any]]] = {x: [] for x in names.values()}
    for annotation in content['annotations']:
        for info in annotation['segments_info']:
            found[names[info['category_id']]].append(info)
    used = sum(bool(a['segments_info']) for a in content['annotations'])
    pixels = sum(i['height'] * i['width'] for i in content['images'])
    labelled = sum(info['area'] for infos in found.values() for info in infos)
    width = max(len(name) for name in found)
    lines = [
        f'{len(content["images"])} images, {used} of them with pseudo labels, '
        f'which cover {100 * labelled / pixels:.2f} % of all pixels',
        f'{"class":<{width}}  segments      pixels  mean score',
    ]
    for name, infos in found.items():
        area = sum(info['area'] for info in infos)
        line = f'{name:<{width}}  {len(infos):>8}  {area:>10}'
        if infos:
            score = sum(info['score'] for info in infos) / len(infos)
            line += f'  {score:>10.3f}'
        lines.append(line)
    absent = [name for name, infos in found.items() if not infos]
    if absent:
        lines.append(
            'without any, so that training will not know their names: '
            + ', '.join(absent)
        )
    return '\n'.join(lines)


def draw_pictures(
    files: PseudoLabelFiles,
    dataset: OpenVocabPanopticDataset,
    content: dict[str, Any],
    count: int,
) -> None:
    """Draw the images with the most classes of pseudo labels.

    Args:
        files: Where the pseudo labels are; the pictures go beside them.
        dataset: The training data, in the order of the pseudo labels.
        content: The JSON of the pseudo labels.
        count: Most pictures.
    """
    annotations = content['annotations']
    kinds = [
        len({info['category_id'] for info in a['segments_info']})
        for a in annotations
    ]
    order = sorted(range(len(kinds)), key=lambda index: -kinds[index])
    chosen = [index for index in order[:count] if kinds[index]]
    if chosen:
        files.pictures.mkdir(parents=True, exist_ok=True)
    for index in chosen:
        annotation = annotations[index]
        ids = decode_panoptic_png(files.pngs / annotation['file_name'])
        regions = [
            Region(ids == info['id'], info['category_id'] - 1, info['score'])
            for info in annotation['segments_info']
        ]
        record = dataset.get_data_info(index)
        with Image.open(record['img_path']) as file:
            image = np.asarray(file.convert('RGB'))
        view = {Task.PANOPTIC: TaskRegions(regions, ids == 0)}
        picture = panel(image, {'pseudo labels': view}, dataset.vocabulary)
        name = str(record['img_id']).replace('/', '_')
        Image.fromarray(picture).save(files.pictures / f'{name}.png')
