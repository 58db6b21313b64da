"""Dataset in COCO-panoptic format over any vocabulary."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from freeseg_mm.registry import DATASETS
from freeseg_mm.structures import Segment, Task, Vocabulary, teaches
from freeseg_mm.utils.coco_types import require_unique
from freeseg_mm.utils.files import naming_errors, read_json
from freeseg_mm.utils.image_files import check_image_file
from freeseg_mm.utils.panoptic_png import VOID_ID

from .pseudo_labels import PseudoLabels

SPLITS = ('seen', 'all')
SEEN = ('own', 'none')
PREFIXES = ('img', 'seg', 'sem')


@DATASETS.register_module()
class OpenVocabPanopticDataset(BaseDataset):
    """Images with one panoptic ground truth, from which every task is derived.

    Categories of the annotation file are matched to the vocabulary by name.
    With ``split='seen'`` the samples know the seen classes only: segments
    of unseen classes are dropped before anything else sees them, and their
    pixels are ignored, not background.

    Args:
        ann_file: COCO-panoptic JSON.
        vocabulary: Built-in name or path; see :meth:`Vocabulary.load`.
        split: ``seen`` hides the unseen classes (training), ``all`` keeps
            every class (testing, full supervision).
        seen: Classes that count as seen: ``own``, those of the vocabulary,
            or ``none``, to test a model that was trained on another dataset
            (Tables 5 and 6). Ensemble and metrics follow it.
        tasks: Tasks that ``MultiTaskSampler`` may draw (Table 7).
        pseudo_labels: Folder of pseudo labels of the unseen classes, made
            by ``freeseg-mm pseudo-labels make`` (self-training); ``None`` for
            none. They fill pixels without a label, and their classes join
            the seen ones in training. Only with ``split='seen'`` and
            without ``test_mode``.
        data_root: Folder that relative paths start from; a relative
            vocabulary path that exists there is taken from there.
        data_prefix: ``img`` and ``seg`` (id PNGs) folders; ``sem``, if
            given, the folder of official semantic PNGs for the metric.
        indices: Number of first images, or indices, to keep.
        serialize_data: Whether workers share one serialized list.
        pipeline: Transforms.
        test_mode: Whether a sample that cannot be used is an error rather
            than replaced.
        lazy_init: Whether to read the annotation file later.
        max_refetch: Tries to replace a sample its pipeline refused.

    Raises:
        FileNotFoundError: If the annotation file, the vocabulary or the
            pseudo labels do not exist.
        ValueError: If the annotation file is no COCO-panoptic JSON, has a
            category the vocabulary lacks, or keeps no labelled image; the
            message names the file. Also for an unknown ``split``, ``seen``,
            task or key of ``data_prefix``, for ``split='seen'`` where no
            class is seen, and for pseudo labels of other data or where
            nothing is hidden.
    """

    def __init__(
        self,
        *,
        ann_file: str,
        vocabulary: str,
        split: str,
        seen: str = 'own',
        tasks: Sequence[str] = ('semantic', 'instance', 'panoptic'),
        pseudo_labels: str | None = None,
        data_root: str = '',
        data_prefix: dict[str, str] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'split {split!r} is none of {SPLITS}')
        if seen not in SEEN:
            raise ValueError(f'seen {seen!r} is none of {SEEN}')
        data_prefix = {'img': '', 'seg': ''} | (data_prefix or {})
        unknown = sorted(set(data_prefix) - set(PREFIXES))
        if unknown:
            raise ValueError(
                f'data_prefix has unknown keys {unknown}; known are {PREFIXES}'
            )
        self.vocabulary = _load_vocabulary(vocabulary, data_root)
        self._shows_unseen = split == 'all'
        if seen == 'none':
            self.vocabulary = self.vocabulary.all_unseen()
        self.sample_vocabulary = (
            self.vocabulary.seen_only() if split == 'seen' else self.vocabulary
        )
        self.tasks = Task.parse_many(tasks)
        self._pseudo_labels: PseudoLabels | None = None
        if pseudo_labels is not None:
            if split != 'seen' or test_mode:
                raise ValueError(
                    f'pseudo_labels={pseudo_labels!r} stand in for hidden '
                    "labels in training: they need split='seen' and no "
                    f'test_mode, got split={split!r} and '
                    f'test_mode={test_mode}'
                )
            self._pseudo_labels = PseudoLabels(pseudo_labels, self.vocabulary)
            self.sample_vocabulary = self._pseudo_labels.vocabulary
        super().__init__(
            ann_file=ann_file,
            metainfo={
                'classes': self.vocabulary.names,
                'vocabulary': self.vocabulary.to_dict(),
            },
            data_root=data_root,
            data_prefix=data_prefix,
            indices=indices,
            serialize_data=serialize_data,
            pipeline=list(pipeline),
            test_mode=test_mode,
            lazy_init=lazy_init,
            max_refetch=max_refetch,
        )

    def load_data_list(self) -> list[dict]:
        """Read the annotation file into one record an image."""
        content = self._read_annotations()
        with naming_errors(Path(self.ann_file)):
            records = self._records(content)
        if self._pseudo_labels is not None:
            without = self._pseudo_labels.add_to(records, self.ann_file)
            self._pseudo_labels = None  # the records have it all
            if without:
                print_log(
                    f'{self.ann_file}: {without} of {len(records)} images '
                    'have no pseudo labels, as with --limit; their unseen '
                    'classes stay ignored',
                    logger='current',
                    level=logging.WARNING,
                )
        return records

    def _records(self, content: dict[str, Any]) -> list[dict]:
        label_of = self._labels_by_category_id(content['categories'])
        require_unique(content['images'], 'id')
        require_unique(content['annotations'], 'image_id')
        images = {image['id']: image for image in content['images']}
        records = []
        for annotation in content['annotations']:
            image = images.get(annotation['image_id'])
            if image is None:
                raise ValueError(
                    f'annotation {annotation["file_name"]} is of image id '
                    f'{annotation["image_id"]}, which is not among its '
                    "'images'"
                )
            records.append(self._record(image, annotation, label_of))
        without = len(images) - len({record['img_id'] for record in records})
        if without:
            print_log(
                f'{self.ann_file}: {without} of {len(images)} images have no '
                'annotation and are left out',
                logger='current',
                level=logging.WARNING,
            )
        return records

    def _read_annotations(self) -> dict[str, Any]:
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(
                f'no annotation file {path}; prepare the dataset with '
                'freeseg-mm prepare, import or shapes make, or set data_root'
            )
        return read_json(path, ['images', 'annotations', 'categories'])

    def _labels_by_category_id(
        self, categories: list[dict]
    ) -> dict[int, int | None]:
        """Label in the sample's vocabulary; ``None`` for a hidden class."""
        unknown = [
            category['name']
            for category in categories
            if category['name'] not in self.vocabulary.names
        ]
        if unknown:
            raise ValueError(
                f'categories {unknown} are not in vocabulary '
                f'{self.vocabulary.name!r}; every category needs a class of '
                'the same name'
            )
        known = self.sample_vocabulary
        # True labels of an unseen class are hidden even where pseudo labels
        # have made its name known
        position = {
            name: index
            for index, name in enumerate(known.names)
            if self._shows_unseen or known.is_seen[index]
        }
        return {
            category['id']: position.get(category['name'])
            for category in categories
        }

    def _record(
        self, image: dict, annotation: dict, label_of: dict[int, int | None]
    ) -> dict[str, Any]:
        ids = [info['id'] for info in annotation['segments_info']]
        if len(set(ids)) < len(ids) or VOID_ID in ids:
            raise ValueError(
                f'{annotation["file_name"]} has segment ids {ids}; expected '
                f'each once and none {VOID_ID} (void)'
            )
        segments: list[Segment] = []
        for info in annotation['segments_info']:
            if info['category_id'] not in label_of:
                raise ValueError(
                    f'{annotation["file_name"]} has a segment of category '
                    f'id {info["category_id"]}, which is not among its '
                    "'categories'"
                )
            label = label_of[info['category_id']]
            if label is not None:
                segment: Segment = {
                    'id': info['id'],
                    'label': label,
                    'iscrowd': info.get('iscrowd', 0),
                }
                if info.get('exact'):
                    segment['exact'] = 1
                segments.append(segment)
        prefix = self.data_prefix
        record = {
            'img_id': image['id'],
            'img_path': str(Path(prefix['img']) / image['file_name']),
            'height': image['height'],
            'width': image['width'],
            'seg_map_path': str(Path(prefix['seg']) / annotation['file_name']),
            'segments': segments,
            # ids the PNG may hold beyond those of `segments`
            'hidden_ids': [
                info['id']
                for info in annotation['segments_info']
                if label_of[info['category_id']] is None
            ],
        }
        if prefix.get('sem'):
            record['sem_seg_path'] = str(
                Path(prefix['sem']) / annotation['file_name']
            )
        return record

    def filter_data(self) -> list[dict]:
        """Leave out training images on which no label remains."""
        if self.test_mode:
            if not self.data_list:
                raise ValueError(f'{self.ann_file}: no image is annotated')
            return self.data_list

        def is_usable(segment: Segment) -> bool:
            return any(teaches(segment, task) for task in self.tasks)

        kept = [
            record
            for record in self.data_list
            if any(
                is_usable(segment)
                for segment in (
                    *record['segments'],
                    *record.get('pseudo_segments', ()),
                )
            )
        ]
        if not kept:
            raise ValueError(
                f'{self.ann_file}: none of {len(self.data_list)} images has '
                f'a label of {self.sample_vocabulary.name!r}'
            )
        if len(kept) < len(self.data_list):
            print_log(
                f'{self.ann_file}: {len(self.data_list) - len(kept)} of '
                f'{len(self.data_list)} images have no label of '
                f'{self.sample_vocabulary.name!r} and are not trained on',
                logger='current',
            )
        return kept

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """A record with the vocabulary its labels refer to, and the tasks."""
        record = super().get_data_info(idx)
        record['vocabulary'] = self.sample_vocabulary
        record['tasks'] = self.tasks
        return record

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on an image, which must be whole.

        OpenCV fills what is missing of a truncated image with grey and goes
        on, so this looks first.

        Raises:
            FileNotFoundError: If there is no such image.
            ValueError: If the image is damaged or has another size than the
                annotation says.
        """
        record = self.get_data_info(idx)
        check_image_file(
            Path(record['img_path']), (record['height'], record['width'])
        )
        try:
            return self.pipeline(record)
        except AssertionError as error:  # mmcv's, of what OpenCV refuses
            raise ValueError(
                f'the pipeline refuses {record["img_path"]}: {error}'
            ) from error


def _load_vocabulary(vocabulary: str, data_root: str) -> Vocabulary:
    """Load a vocabulary that may lie in the data's own folder."""
    in_root = Path(data_root) / vocabulary
    if in_root.is_file():
        return Vocabulary.load(in_root)
    try:
        return Vocabulary.load(vocabulary)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{error}, nor in data_root {data_root!r}; has the dataset been '
            'prepared?'
        ) from None
