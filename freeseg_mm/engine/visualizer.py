"""Pictures of a run for mmengine's hooks and backends."""

from pathlib import Path
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.dist import is_main_process
from mmengine.visualization import Visualizer

from freeseg_mm.registry import VISUALIZERS
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.image_files import write_picture
from freeseg_mm.visualization import panel, prediction_regions, shrink
from freeseg_mm.visualization.regions import known_regions


@VISUALIZERS.register_module()
class FreeSegVisualizer(Visualizer):
    """Ground truth and predictions of all tasks side by side, with a legend.

    Replaces mmdet's ``DetLocalVisualizer``, which draws all tasks over one
    another and marks no unseen classes: mmdet's ``DetVisualizationHook``,
    ``DetInferencer`` and tools call it alike.

    Args:
        name: Name by which mmengine finds this object again.
        vis_backends: Configs of the backends that store pictures and
            scalars.
        save_dir: Folder of the backends.
        max_side: A larger image is drawn smaller, to this longer side in
            pixels.

    Raises:
        ValueError: If ``max_side`` is not positive.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        vis_backends: Any = None,
        save_dir: str | None = None,
        max_side: int = 640,
    ) -> None:
        if max_side < 1:
            raise ValueError(f'max_side: expected at least 1, got {max_side}')
        super().__init__(name, vis_backends=vis_backends, save_dir=save_dir)
        self.max_side = max_side

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw a sample; show it, write it, or hand it to the backends.

        In a run of several processes each writes the files of its own
        samples; backends and windows get those of the first process alone.

        Args:
            name: Of the picture.
            image: RGB, (H, W, 3), [0, 255].
            data_sample: Ground truth, from its targets or its label files,
                and predictions.
            draw_gt: Whether to draw the ground truth where there is one.
            draw_pred: Whether to draw the predictions.
            show: Open a window.
            wait_time: Seconds until the window closes, 0 for never.
            out_file: File that gets the picture instead of the backends.
            pred_score_thr: Instances that score lower are not drawn.
            step: Iteration of the run.

        Raises:
            ValueError: If neither the sample nor ``dataset_meta`` names
                classes, a label file is unusable, or masks and image differ
                in size.
            FileNotFoundError: If a label file is missing.
        """
        if out_file is None and not is_main_process():
            return
        image = image.clip(0, 255).astype(np.uint8)
        picture = image
        if data_sample is not None:
            picture = self._picture(
                image,
                data_sample.cpu(),
                draw_gt=draw_gt,
                draw_pred=draw_pred,
                score_thr=pred_score_thr,
            )
        # for get_image()
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_picture(picture, Path(out_file))
        else:
            self.add_image(name, picture, step)

    def _picture(
        self,
        image: np.ndarray,
        sample: DetDataSample,
        *,
        draw_gt: bool,
        draw_pred: bool,
        score_thr: float,
    ) -> np.ndarray:
        vocabulary = self._vocabulary(sample)
        rows = {}
        if draw_gt and (known := known_regions(sample, vocabulary)):
            source, views = known
            rows[source] = views
        if draw_pred:
            rows['prediction'] = prediction_regions(
                sample.to_dict(), len(vocabulary), score_thr=score_thr
            )
        shown = {}
        for source, views in rows.items():
            if views:
                small, shown[source] = shrink(image, views, self.max_side)
        return panel(small, shown, vocabulary) if shown else image

    def _vocabulary(self, sample: DetDataSample) -> Vocabulary:
        """Vocabulary of the sample, else of the dataset, else of mmdet."""
        if 'vocabulary' in sample:
            return sample.vocabulary
        meta = self.dataset_meta or {}
        if 'vocabulary' in meta:
            return Vocabulary.from_dict(meta['vocabulary'])
        if 'classes' in meta:
            # nothing is known of them: no star, and all outlined alike
            return Vocabulary.from_names(meta['classes'], unseen=())
        raise ValueError(
            'cannot draw: neither the sample nor dataset_meta of the '
            'visualizer names classes; put vocabulary into the meta_keys of '
            'PackDetInputs'
        )
