"""Predict the unseen classes on the training images (Sec. 4.2)."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader
from tqdm import tqdm

from freeseg_mm.apis import FreeSegInferencer
from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.datasets.pseudo_labels import PseudoLabelFiles
from freeseg_mm.engine.checkpoint import WeightsInfo
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.files import atomic_path, write_json
from freeseg_mm.utils.journal import Journal
from freeseg_mm.utils.mask_boxes import segment_box
from freeseg_mm.utils.panoptic_png import (
    decode_panoptic_png,
    encode_panoptic_png,
)
from freeseg_mm.visualization import Region, TaskRegions, panel

from .settings import PseudoLabelSettings
from .unlabelled_images import UnlabelledImages


@dataclass(frozen=True)
class ChosenSegment:
    """A predicted segment that is kept.

    Attributes:
        mask: Its unlabelled pixels, (H, W), bool.
        label: Class index of the vocabulary the model was asked for.
        score: Class probability, in [0, 1].
    """

    mask: np.ndarray
    label: int
    score: float


def choose_segments(
    ids: np.ndarray,
    segments: Sequence[Mapping[str, Any]],
    unlabelled: np.ndarray,
    is_wanted: Sequence[bool],
    settings: PseudoLabelSettings,
) -> Iterator[ChosenSegment]:
    """Keep what is of a wanted class, sure, large and not a known object.

    Args:
        ids: Predicted segment id of each pixel, (H, W).
        segments: ``id``, ``label`` and ``score`` of each.
        unlabelled: Pixels that no seen label covers, (H, W), bool; crowds
            of a seen class count as labelled.
        is_wanted: Per class, whether it may become a label.
        settings: The thresholds.

    Yields:
        The kept segments in the given order, cut to the unlabelled pixels,
        so that none overlaps a label or another one.
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
            yield ChosenSegment(mask, label, score)


def seen_gt(dataset: OpenVocabPanopticDataset, index: int) -> dict[str, Any]:
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


def summarize(content: dict[str, Any]) -> str:
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


_SCORE_DIGITS = 4
# What scores less than this takes no part. What scores more but too little
# for a label still wins its pixels, which are then nobody's: were it dropped
# first, a worse mask with a better score would spread over them.
_COMPETING_SCORE = 0.1


@dataclass(frozen=True)
class Labelling:
    """What to predict on, with which weights, and where it goes.

    Attributes:
        config: The run's config.
        checkpoint: Weights of the run.
        out: Folder of the pseudo labels.
        settings: The thresholds.
        limit: Number of first images; ``None`` for all.
        num_pictures: Pictures to draw.
        num_workers: Processes that read images; 0 reads in this one.
        device: As ``cuda:0``; default CUDA if there is one.
    """

    config: Config
    checkpoint: Path
    out: Path
    settings: PseudoLabelSettings = PseudoLabelSettings()
    limit: int | None = None
    num_pictures: int = 4
    num_workers: int = 1
    device: str | None = None

    def run(self) -> bool:
        """Make the pseudo labels, or go on where a killed run stopped.

        Returns:
            Whether there was anything to do.

        Raises:
            FileNotFoundError: If weights or data are missing.
            FileExistsError: If the folder holds other pseudo labels.
            ValueError: If the config has several training data sets, none
                of its classes is unseen, or weights or data are unusable.
        """
        if self.limit is not None and self.limit < 1:
            raise ValueError(f'limit: expected at least 1, got {self.limit}')
        if not self.checkpoint.is_file():
            raise FileNotFoundError(f'no checkpoint {self.checkpoint}')
        files = PseudoLabelFiles(self.out)
        dataset = training_images(self.config)
        asked = asked_vocabulary(dataset.vocabulary, self.settings)
        count = min(len(dataset), self.limit or len(dataset))
        info = {
            'weights': weights_digest(self.checkpoint),
            'model': json_digest(self.config.model.to_dict()),
            'data': json_digest([seen_gt(dataset, i) for i in range(count)]),
            'vocabulary': dataset.vocabulary.content_hash,
            'settings': asdict(self.settings),
        }
        if files.json.exists():
            if files.read()['info'] == info:
                files.journal.unlink(missing_ok=True)
                return False
            raise FileExistsError(
                f'{self.out} holds pseudo labels of other weights, data or '
                'settings; delete it or name another folder'
            )
        files.pngs.mkdir(parents=True, exist_ok=True)
        annotations = self._predict(files, dataset, asked, count, info)
        content = {
            'info': info,
            'images': [image_entry(dataset, index) for index in range(count)],
            'annotations': annotations,
            'categories': unseen_categories(dataset.vocabulary),
        }
        files.summary.write_text(summarize(content) + '\n', 'utf-8')
        draw_pictures(files, dataset, content, self.num_pictures)
        write_json(content, files.json)
        files.journal.unlink()
        return True

    def _predict(
        self,
        files: PseudoLabelFiles,
        dataset: OpenVocabPanopticDataset,
        asked: Vocabulary,
        count: int,
        info: dict[str, Any],
    ) -> list[dict[str, Any]]:
        with Journal(files.journal, info) as journal:
            annotations = journal.records[:count]
            start = len(annotations)
            if start == count:
                return annotations
            model = self._model()
            model.check_vocabulary(asked)
            images = UnlabelledImages(
                dataset,
                range(start, count),
                dataset_configs(self.config, 'test')[0]['pipeline'],
                asked,
            )
            loader = DataLoader(
                images,
                # a batch of several would round in another way, and a
                # resumed run would cut other batches
                batch_size=1,
                num_workers=self.num_workers,
                collate_fn=_only_item,
            )
            for item in tqdm(
                loader,
                desc='pseudo labels',
                unit='image',
                initial=start,
                total=count,
            ):
                annotation = self._label(files, dataset, asked, model, item)
                journal.append(annotation)
                annotations.append(annotation)
        return annotations

    def _model(self) -> FreeSeg:
        """The trained model, which answers the panoptic task alone."""
        test_cfg = {
            'tasks': ['panoptic'],
            'object_score_thr': min(_COMPETING_SCORE, self.settings.score_thr),
            'overlap_thr': self.settings.overlap_thr,
            'min_object_prob': 0.0,
            # prompts that were tuned on earlier images would depend on
            # where a run was interrupted
            'prompt_tuning': None,
        }
        return FreeSegInferencer(
            self.config,
            self.checkpoint,
            device=self.device,
            cfg_options={
                f'model.test_cfg.{key}': value
                for key, value in test_cfg.items()
            },
        ).model

    def _label(
        self,
        files: PseudoLabelFiles,
        dataset: OpenVocabPanopticDataset,
        asked: Vocabulary,
        model: FreeSeg,
        item: dict[str, Any],
    ) -> dict[str, Any]:
        """Predict one image and write its PNG; its annotation."""
        with torch.no_grad():
            (prediction,) = model.test_step(pseudo_collate([item['packed']]))
        panoptic = prediction.pred_panoptic_seg
        unlabelled = item['unlabelled']
        ids = np.zeros(unlabelled.shape, np.int32)
        segments = []
        for number, chosen in enumerate(
            choose_segments(
                panoptic.sem_seg[0].cpu().numpy(),
                panoptic.segments_info,
                unlabelled,
                [not is_seen for is_seen in asked.is_seen],
                self.settings,
            ),
            start=1,
        ):
            ids[chosen.mask] = number
            name = asked.names[chosen.label]
            segments.append(
                {
                    'id': number,
                    'category_id': dataset.vocabulary.index(name) + 1,
                    'area': int(chosen.mask.sum()),
                    'bbox': segment_box(chosen.mask),
                    'iscrowd': 0,
                    'score': round(chosen.score, _SCORE_DIGITS),
                }
            )
        record = dataset.get_data_info(item['index'])
        name = png_name(dataset, record)
        path = files.pngs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as partial_path:
            encode_panoptic_png(ids, partial_path)
        return {
            'image_id': record['img_id'],
            'file_name': name,
            'segments_info': segments,
        }


def training_images(config: Config) -> OpenVocabPanopticDataset:
    """The run's training data with its seen labels, no image left out.

    Raises:
        ValueError: If the config trains on several data sets, or on the
            unseen classes' labels.
    """
    found = dataset_configs(config, 'train')
    if len(found) != 1:
        raise ValueError(
            f'the config trains on {len(found)} data sets; pseudo labels are '
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


def asked_vocabulary(
    vocabulary: Vocabulary, settings: PseudoLabelSettings
) -> Vocabulary:
    """The names the model is asked for.

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


def _only_item(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    (item,) = items
    return item
