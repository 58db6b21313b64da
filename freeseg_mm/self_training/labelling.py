"""Predict the unseen classes on the training images (Sec. 4.2)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader
from tqdm import tqdm

from freeseg_mm.apis import FreeSegInferencer
from freeseg_mm.datasets import OpenVocabPanopticDataset
from freeseg_mm.datasets.from_config import build_dataset, dataset_configs
from freeseg_mm.datasets.preparation.files import atomic_path, write_json
from freeseg_mm.datasets.preparation.journal import Journal
from freeseg_mm.datasets.preparation.segments import segment_box
from freeseg_mm.datasets.pseudo_labels import PseudoLabelFiles
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.panoptic_png import encode_panoptic_png

from .choosing import choose_segments
from .describing import (
    image_entry,
    json_digest,
    png_name,
    seen_truth,
    unseen_categories,
    weights_digest,
)
from .settings import PseudoLabelSettings
from .summary import draw_pictures, summarise
from .unlabelled_images import UnlabelledImages

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
            'data': json_digest(
                [seen_truth(dataset, i) for i in range(count)]
            ),
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
        files.summary.write_text(summarise(content) + '\n', 'utf-8')
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
            (answer,) = model.test_step(pseudo_collate([item['packed']]))
        panoptic = answer.pred_panoptic_seg
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
