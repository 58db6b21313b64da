"""Import of a COCO-panoptic JSON with its PNGs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import read_json
from freeseg_mm.utils.image_files import require_size
from freeseg_mm.utils.panoptic_png import VOID_ID, decode_panoptic_png

from .image_ground_truth import ImageGroundTruth, classes_of_segments
from .labelled_split import PreparedLabels, SourceImage
from .own_data import ImportOptions, require_upright, run_import
from .target_vocabulary import settle_vocabulary


@dataclass(frozen=True)
class PanopticReader:
    """Reads the truth of one image.

    Attributes:
        image_folder: Where the images are.
        num_classes: Size of the vocabulary.
    """

    image_folder: Path
    num_classes: int

    def __call__(self, image: SourceImage) -> ImageGroundTruth:
        """The segments as they are."""
        require_upright(self.image_folder / image.file_name)
        (path,) = image.labels
        ids = decode_panoptic_png(path)
        require_size(path, ids.shape, image.content['size'])
        segments = image.content['segments']
        listed = [segment['id'] for segment in segments]
        if len(set(listed)) < len(listed) or VOID_ID in listed:
            raise ValueError(
                f'segment ids {sorted(listed)}; expected each once and none '
                f'{VOID_ID} (void)'
            )
        unknown = np.setdiff1d(ids, [VOID_ID, *listed])
        if unknown.size:
            raise ValueError(
                f'{path}: pixels have segment ids {unknown[:5].tolist()} '
                'that the JSON does not list for this image'
            )
        classes = classes_of_segments(ids, segments, self.num_classes)
        return ImageGroundTruth(ids, segments, classes)


def import_panoptic(
    options: ImportOptions,
    *,
    images: Path,
    json_path: Path,
    pngs: Path,
    things: Sequence[str] | None = None,
) -> PreparedLabels:
    """Import a COCO-panoptic JSON.

    Args:
        options: Where and how.
        images: Folder that the JSON's image file names start from.
        json_path: The JSON.
        pngs: Folder of the PNGs that it names.
        things: Classes that are countable; default what its ``isthing`` say.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        FileExistsError: If the target holds something else already.
        ValueError: If a file is damaged or does not fit the others.
    """
    content = read_json(json_path, ['images', 'annotations', 'categories'])
    try:
        names = names_by_id(content['categories'])
        if things is None:
            things = [
                category['name']
                for category in content['categories']
                if category['isthing']
            ]
        vocabulary = settle_vocabulary(
            options.target,
            Vocabulary.from_names(
                names.values(), things, (), name=options.target.name
            ),
            unseen=options.unseen,
        )
        label_of = {id_: vocabulary.index(name) for id_, name in names.items()}
        annotations = {a['image_id']: a for a in content['annotations']}
        source_images = [
            _source_image(image, annotations, pngs, label_of)
            for image in content['images']
        ]
    except KeyError as error:
        raise ValueError(
            f'{json_path}: an entry lacks the key {error}'
        ) from error
    except ValueError as error:
        raise ValueError(f'{json_path}: {error}') from error
    return run_import(
        options,
        source_images,
        image_folder=images,
        read_gt=PanopticReader(images, len(vocabulary)),
        vocabulary=vocabulary,
        source={'dataset': 'own panoptic'},
        tasks=list(Task),
        json_path=json_path,
    )


def names_by_id(categories: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Category names by ascending id.

    Raises:
        KeyError: If a category has no id or name.
        ValueError: If there is none, or an id occurs twice.
    """
    names = {category['id']: category['name'] for category in categories}
    if not names or len(names) < len(categories):
        raise ValueError(
            f'expected categories with an id each, got {len(categories)} '
            f'with {len(names)} ids'
        )
    return dict(sorted(names.items()))


def _source_image(
    image: Mapping[str, Any],
    annotations: Mapping[int, Mapping[str, Any]],
    pngs: Path,
    label_of: Mapping[int, int],
) -> SourceImage:
    if image['id'] not in annotations:
        raise ValueError(f'image {image["file_name"]} has no annotation')
    annotation = annotations[image['id']]
    path = pngs / annotation['file_name']
    if not path.is_file():
        raise FileNotFoundError(f'missing file {path}')
    for segment in annotation['segments_info']:
        if segment['category_id'] not in label_of:
            raise ValueError(
                f'segment {segment["id"]} of {annotation["file_name"]} has '
                f'category id {segment["category_id"]}, which is not among '
                'the categories'
            )
    return SourceImage(
        image['id'],
        image['file_name'],
        (path,),
        {
            'size': (image['height'], image['width']),
            'segments': [
                {
                    'id': segment['id'],
                    'label': label_of[segment['category_id']],
                    'iscrowd': segment.get('iscrowd', 0),
                    'exact': segment.get('exact', 0),
                }
                for segment in annotation['segments_info']
            ],
        },
    )
