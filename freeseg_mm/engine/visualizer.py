"""Pictures of a run, as mmengine's hooks and backends want them."""

from typing import Any

import mmcv
import numpy as np
from mmdet.structures import DetDataSample
from mmengine.dist import is_main_process
from mmengine.visualization import Visualizer
from PIL import Image

from freeseg_mm.registry import VISUALIZERS
from freeseg_mm.structures import Task, Vocabulary
from freeseg_mm.utils.resampling import fitting, nearest
from freeseg_mm.visualization import (
    Region,
    TaskRegions,
    panel,
    prediction_regions,
)
from freeseg_mm.visualization.sample_view import known_regions


@VISUALIZERS.register_module()
class FreeSegVisualizer(Visualizer):
    """Truth and answers of all tasks side by side, with a legend.

    Takes the place of mmdet's ``DetLocalVisualizer``: mmdet's
    ``DetVisualizationHook``, ``DetInferencer`` and tools call it alike.

    Args:
        name: By which mmengine finds this object again.
        vis_backends: Configs of what stores pictures and scalars.
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
            data_sample: What is known and answered about it. Truth comes
                from its targets or its label files.
            draw_gt: Whether to draw the truth where there is one.
            draw_pred: Whether to draw the answers.
            show: Open a window.
            wait_time: Seconds until the window closes, 0 for never.
            out_file: Where to write the picture instead of to the backends.
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
            mmcv.imwrite(picture[..., ::-1], out_file)
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
        rows = {}
        known = None
        if draw_gt:
            known = known_regions(sample, self._vocabulary(sample))
        if known is not None:
            source, rows_of_tasks = known
            rows[source] = rows_of_tasks
        if draw_pred:
            rows['prediction'] = prediction_regions(
                sample.to_dict(), score_thr=score_thr
            )
        rows = {source: views for source, views in rows.items() if views}
        if not rows:
            return image
        size = fitting(image.shape[:2], self.max_side)
        small = np.asarray(Image.fromarray(image).resize(size[::-1]))
        rows = {
            source: _at_size(views, size) for source, views in rows.items()
        }
        return panel(small, rows, self._vocabulary(sample))

    def _vocabulary(self, sample: DetDataSample) -> Vocabulary:
        """Of the sample, else of the data set, else what mmdet knows."""
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


def _at_size(
    views: dict[Task, TaskRegions], size: tuple[int, int]
) -> dict[Task, TaskRegions]:
    return {
        task: TaskRegions(
            [
                Region(nearest(r.mask, size), r.label, r.score)
                for r in regions.regions
            ],
            None
            if regions.ignored is None
            else nearest(regions.ignored, size),
        )
        for task, regions in views.items()
    }
