"""Predict the unseen classes on the training images (Sec. 4.2)."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from freeseg_mm.datasets import LoadPanopticSegments, OpenVocabPanopticDataset
from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.datasets.pseudo_labels import (
    PseudoLabelFiles,
    PseudoLabelSettings,
    summarize,
)
from freeseg_mm.engine.checkpoint import (
    WeightsInfo,
    build_model,
    state_digest,
)
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.recipes.processes import (
    RunFailedError,
    Slot,
    find_slots,
    run_on_slots,
)
from freeseg_mm.structures import FIRST_SEGMENT_ID, Task, Vocabulary
from freeseg_mm.utils.files import make_folder, write_json, write_text
from freeseg_mm.utils.image_files import check_image_file, write_picture
from freeseg_mm.utils.journal import (
    Journal,
    RunStamp,
    StampState,
    json_digest,
)
from freeseg_mm.utils.masks import segment_box
from freeseg_mm.utils.open_image import read_rgb
from freeseg_mm.utils.panoptic_png import (
    decode_panoptic_png,
    encode_panoptic_png,
)
from freeseg_mm.utils.parallel import Shard
from freeseg_mm.visualization import Region, TaskRegions, panel

_SCORE_DIGITS = 4
# What scores less than this takes no part. What scores more but too little
# for a label still wins its pixels, which are then nobody's: were it dropped
# first, a worse mask with a better score would spread over them.
_COMPETING_SCORE = 0.1


@dataclass(frozen=True)
class Labelling:
    """Pseudo labels to make: their data, weights, thresholds and folder.

    Attributes:
        config: The run's config.
        checkpoint: Weights of the run.
        out: Folder of the pseudo labels.
        settings: The thresholds.
        limit: Number of first images; ``None`` for all.
        num_pictures: Pictures to draw.
        num_workers: Processes that read images; 0 reads in this one.
        device: As ``cuda:0``; default CUDA if there is one.
        gpus: Processes that share the images, each on a GPU, or on the CPU
            where there is none.
        shard: Share of the images to predict, if other processes predict
            the others; a run without it joins them.
    """

    config: Config
    checkpoint: Path
    out: Path
    settings: PseudoLabelSettings = PseudoLabelSettings()
    limit: int | None = None
    num_pictures: int = 4
    num_workers: int = 1
    device: str | None = None
    gpus: int = 1
    shard: Shard = Shard()

    def run(self) -> bool:
        """Make the pseudo labels, or go on where killed runs stopped.

        What other processes have done of the same, with any shares, is used
        and not done again. The files do not depend on the shares.

        Returns:
            Whether there was anything to do.

        Raises:
            FileNotFoundError: If weights or data are missing.
            FileExistsError: If the folder holds other pseudo labels.
            RunFailedError: If a process of several failed.
            ValueError: If the config has several training datasets, none
                of its classes is unseen, weights or data are unusable, or
                there are fewer GPUs.
        """
        if self.limit is not None and self.limit < 1:
            raise ValueError(f'limit: expected at least 1, got {self.limit}')
        weights = WeightsInfo.read(self.checkpoint)
        dataset = training_images(self.config)
        vocabulary = vocabulary_to_predict(dataset.vocabulary, self.settings)
        count = min(len(dataset), self.limit or len(dataset))
        images = [_seen_content(dataset, index) for index in range(count)]
        info = {
            'weights': state_digest(weights.content['state_dict']),
            'model': json_digest(self.config.model.to_dict()),
            'data': json_digest(images),
            'vocabulary': dataset.vocabulary.content_hash,
            'settings': asdict(self.settings),
        }
        files = PseudoLabelFiles(self.out)
        stamp = RunStamp(self.out / '.made_from.json', info, [files.json])
        if stamp.state() is StampState.OTHER and files.json.exists():
            raise FileExistsError(
                f'{self.out} holds pseudo labels of other weights, data or '
                'settings; delete it or name another folder'
            )

        def predict() -> dict[int, dict[str, Any]]:
            make_folder(files.pngs)
            done = _records(files, info)
            todo = [
                image
                for image in self.shard.of(images)
                if image['image']['id'] not in done
            ]
            with Journal(files.journal(self.shard), info) as journal:
                for annotation in tqdm(
                    self._predict_images(
                        files.pngs, dataset, vocabulary, weights, todo
                    ),
                    'pseudo labels',
                    unit='image',
                    initial=len(self.shard.of(images)) - len(todo),
                    total=len(self.shard.of(images)),
                ):
                    journal.append(annotation)
                    done[annotation['image_id']] = annotation
            return done

        def make() -> None:
            if self.gpus > 1:
                self._share_out()
            done = predict()
            content = {
                'info': info,
                'images': [image['image'] for image in images],
                'annotations': [done[x['image']['id']] for x in images],
                'categories': _unseen_categories(dataset.vocabulary),
            }
            write_text(summarize(content) + '\n', files.summary)
            _draw_pictures(files, dataset, content, self.num_pictures)
            write_json(content, files.json)

        if self.shard.count > 1:
            if stamp.state() is StampState.FINISHED:
                return False
            predict()
            return True
        was_made = stamp.run(make)
        for path in files.journals():
            path.unlink()
        return was_made

    def _share_out(self) -> None:
        """Predict in several processes, until all are done or have failed."""
        config = self.out / '.config.py'
        write_text(self.config.pretty_text, config)
        command = [
            *(sys.executable, '-m', 'freeseg_mm', 'pseudo-labels', 'make'),
            *(config, self.checkpoint, '--out', self.out),
            *('--num-workers', self.num_workers),
        ]
        for name, value in {
            'limit': self.limit,
            'device': self.device,
            **asdict(self.settings),
        }.items():
            option = name.replace('_', '-')
            if isinstance(value, bool):
                command.append(f'--{option}' if value else f'--no-{option}')
            elif value is not None:
                command += [f'--{option}', value]

        def start(number: int, slot: Slot) -> None:
            shard = Shard(number, self.gpus)
            slot.run(
                f'pseudo labels {shard}',
                [*map(str, command), '--shard', str(shard)],
                self.out / f'.shard-{number}.log',
            )

        failures = run_on_slots(
            [partial(start, n) for n in range(1, self.gpus + 1)],
            find_slots(self.gpus),
            tqdm.write,
        )
        if failures:
            raise RunFailedError(
                f'{len(failures)} of {self.gpus} processes failed, as '
                f'{failures[0]}'
            )
        for path in (config, *self.out.glob('.shard-*.log')):
            path.unlink()

    def _predict_images(
        self,
        pngs: Path,
        dataset: OpenVocabPanopticDataset,
        vocabulary: Vocabulary,
        weights: WeightsInfo,
        images: Sequence[Mapping[str, Any]],
    ) -> Iterator[dict[str, Any]]:
        """Write the PNGs of images and yield their annotations."""
        if not images:
            return
        model = self._build_model(weights)
        model.check_vocabulary(vocabulary)
        pipeline = dataset_configs(self.config, 'test')[0]['pipeline']
        loader = DataLoader(
            _UnlabelledImages(
                dataset,
                [image['index'] for image in images],
                pipeline,
                vocabulary,
            ),
            # one by one: a batch of several would round in another way, and
            # a resumed run would cut other batches
            batch_size=None,
            num_workers=self.num_workers,
        )
        for image, (packed, unlabelled) in zip(images, loader, strict=True):
            ids, segments = self._predict(model, packed, unlabelled.numpy())
            for segment in segments:
                name = vocabulary.names[segment.pop('label')]
                segment['category_id'] = dataset.vocabulary.index(name) + 1
            path = pngs / image['png']
            make_folder(path.parent)
            encode_panoptic_png(ids, path)
            yield {
                'image_id': image['image']['id'],
                'file_name': image['png'],
                'segments_info': segments,
            }

    def _build_model(self, weights: WeightsInfo) -> FreeSeg:
        """Build the trained model for panoptic predictions."""
        config = deepcopy(self.config)
        config.model.test_cfg = {
            **(config.model.get('test_cfg') or {}),
            'tasks': ['panoptic'],
            'object_score_thr': min(_COMPETING_SCORE, self.settings.score_thr),
            'overlap_thr': self.settings.overlap_thr,
            # a label has a threshold of its own, which was measured
            'panoptic_rule': 'score',
            'min_object_prob': 0.0,
            # prompts that were tuned on earlier images would depend on
            # where a run was interrupted
            'prompt_tuning': None,
        }
        return build_model(config, weights, self.device)

    @torch.no_grad()
    def _predict(
        self, model: FreeSeg, packed: dict[str, Any], unlabelled: np.ndarray
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Predict one image.

        Returns:
            Ids of the pseudo segments, (H, W), int32, 0 is void; and the
            entries of these, with a ``label`` of the predicted vocabulary.
        """
        (sample,) = model.test_step(pseudo_collate([packed]))
        kept = choose_segments(
            sample.pred_panoptic_seg.sem_seg[0].cpu().numpy(),
            sample.pred_panoptic_seg.segments_info,
            unlabelled,
            [not is_seen for is_seen in sample.vocabulary.is_seen],
            self.settings,
        )
        ids = np.zeros(unlabelled.shape, np.int32)
        segments = []
        for number, (mask, label, score) in enumerate(kept, start=1):
            ids[mask] = number
            segments.append(
                {
                    'id': number,
                    'label': label,
                    'area': int(mask.sum()),
                    'bbox': segment_box(mask),
                    'iscrowd': 0,
                    'score': round(score, _SCORE_DIGITS),
                }
            )
        return ids, segments


def _records(
    files: PseudoLabelFiles, info: Mapping[str, Any]
) -> dict[int, dict[str, Any]]:
    """Annotations in the journals of all processes, by image id."""
    return {
        record['image_id']: record
        for path in files.journals()
        if Journal.subject_of(path) == info
        for record in Journal(path, info)
    }


def choose_segments(
    ids: np.ndarray,
    segments: Sequence[Mapping[str, Any]],
    unlabelled: np.ndarray,
    is_wanted: Sequence[bool],
    settings: PseudoLabelSettings,
) -> Iterator[tuple[np.ndarray, int, float]]:
    """Keep segments of wanted classes: sure, large and no known objects.

    Args:
        ids: Predicted segment id of each pixel, (H, W).
        segments: ``id``, ``label`` and ``score`` of each.
        unlabelled: Pixels that no seen label covers, (H, W), bool; crowds
            of a seen class count as labelled.
        is_wanted: Per class, whether it may become a label.
        settings: The thresholds.

    Yields:
        Mask, (H, W), bool, label and score of the kept segments, in the
        given order, cut to the unlabelled pixels, so that none overlaps a
        label or another one.
    """
    least = settings.least_pixels(ids.size)
    for segment in segments:
        label, score = segment['label'], segment['score']
        if not is_wanted[label] or score < settings.score_thr:
            continue
        predicted = ids == segment['id']
        mask = predicted & unlabelled
        area = int(mask.sum())
        is_known = area < settings.min_unlabelled * predicted.sum()
        if area >= least and not is_known:
            yield mask, label, score


def training_images(config: Config) -> OpenVocabPanopticDataset:
    """Build the run's training data with its seen labels and all images.

    Raises:
        ValueError: If the config trains on several datasets, or on the
            unseen classes' labels.
    """
    found = dataset_configs(config, 'train')
    if len(found) != 1:
        raise ValueError(
            f'the config trains on {len(found)} datasets; pseudo labels are '
            'made for one: name each in a config of its own'
        )
    content = found[0]
    if content.get('split') != 'seen':
        raise ValueError(
            f'the training has split={content.get("split")!r}, which knows '
            "every class; pseudo labels are for split='seen'"
        )
    content.update(pipeline=[], pseudo_labels=None, test_mode=True)
    return build_dataset(content)


def vocabulary_to_predict(
    vocabulary: Vocabulary, settings: PseudoLabelSettings
) -> Vocabulary:
    """Select the classes to predict.

    Raises:
        ValueError: If no class is unseen.
    """
    unseen = [i for i, seen in enumerate(vocabulary.is_seen) if not seen]
    if not unseen:
        raise ValueError(
            f'vocabulary {vocabulary.name!r}: all {len(vocabulary)} classes '
            'are seen, so there is nothing to make pseudo labels of'
        )
    if settings.prior:
        return vocabulary.subset(unseen, f'{vocabulary.name}/unseen')
    return vocabulary


class _UnlabelledImages(Dataset):
    """Images as a test shows them, each with its unlabelled pixels.

    These come from the training's own loader, in which labels of unseen
    classes are void already; the model is shown nothing else of the ground
    truth.
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

    def __getitem__(self, position: int) -> tuple[dict, torch.Tensor]:
        """Load what the test pipeline packs, and unlabelled pixels, (H, W).

        Raises:
            FileNotFoundError: If the image or its PNG is missing.
            ValueError: If one of them is damaged or of another size.
        """
        record = self._dataset.get_data_info(self._indices[position])
        size = record['height'], record['width']
        check_image_file(Path(record['img_path']), size)
        shown = {
            key: record[key] for key in ('img_id', 'img_path', *_SIZE)
        } | {'vocabulary': self._vocabulary}
        gt = self._load_gt.transform(record | {'ori_shape': size})
        unlabelled = torch.from_numpy(gt['gt_seg_map'] < FIRST_SEGMENT_ID)
        return self._pipeline(shown), unlabelled


_SIZE = ('height', 'width')


def _seen_content(
    dataset: OpenVocabPanopticDataset, index: int
) -> dict[str, Any]:
    """Describe an image, its PNG and its seen segments; nothing unseen.

    Returns:
        ``index`` in the dataset; ``image``, its entry of a COCO JSON;
        ``png``, file name of its id PNG; ``seen``, ids of the seen segments.
    """
    record = dataset.get_data_info(index)
    name, png = (
        Path(record[key]).relative_to(dataset.data_prefix[part]).as_posix()
        for key, part in (('img_path', 'img'), ('seg_map_path', 'seg'))
    )
    return {
        'index': index,
        'image': {
            'id': record['img_id'],
            'file_name': name,
            **{key: record[key] for key in _SIZE},
        },
        'png': png,
        'seen': [segment['id'] for segment in record['segments']],
    }


def _unseen_categories(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Entries of the unseen classes; ids are places in the vocabulary + 1."""
    return [
        {'id': i + 1, 'name': name, 'isthing': int(vocabulary.is_thing[i])}
        for i, name in enumerate(vocabulary.names)
        if not vocabulary.is_seen[i]
    ]


def _draw_pictures(
    files: PseudoLabelFiles,
    dataset: OpenVocabPanopticDataset,
    content: Mapping[str, Any],
    count: int,
) -> None:
    """Draw the images with the most classes of pseudo labels."""
    annotations = content['annotations']
    num_classes = [
        len({info['category_id'] for info in a['segments_info']})
        for a in annotations
    ]
    order = sorted(range(len(annotations)), key=lambda i: -num_classes[i])
    for index in [index for index in order[:count] if num_classes[index]]:
        annotation = annotations[index]
        ids = decode_panoptic_png(files.pngs / annotation['file_name'])
        regions = [
            Region(ids == info['id'], info['category_id'] - 1, info['score'])
            for info in annotation['segments_info']
        ]
        record = dataset.get_data_info(index)
        image = read_rgb(record['img_path'])
        view = {Task.PANOPTIC: TaskRegions(regions, ids == 0)}
        picture = panel(image, {'pseudo labels': view}, dataset.vocabulary)
        name = str(record['img_id']).replace('/', '_')
        write_picture(picture, files.pictures / f'{name}.png')
