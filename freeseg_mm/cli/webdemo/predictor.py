"""Predictions for the page: pictures, legends and files."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from freeseg_mm.apis.inferencer import FreeSegInferencer
from freeseg_mm.apis.inputs import read_image
from freeseg_mm.apis.results import ImageResult
from freeseg_mm.structures import Task
from freeseg_mm.utils.files import write_json
from freeseg_mm.utils.image_files import write_picture

from .form import Form, Limits, Request, read_form
from .views import TaskView, task_views

Report = Callable[[float, str], object]
"""Called with the share that is done, in [0, 1], and the next step."""


@dataclass(frozen=True, eq=False)
class PagePrediction:
    """Everything the page shows of a prediction.

    Attributes:
        name: Of the image, without its ending.
        views: Pictures and legends of the predicted tasks.
        picture: All tasks in one RGB picture.
        content: All as JSON's types, masks as RLE.
        summary: A line about the image, the changes made to it, and the time.
    """

    name: str
    views: dict[Task, TaskView]
    picture: Image.Image
    content: dict[str, Any]
    summary: str

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write picture and content to a folder.

        Returns:
            The PNG and the JSON file.
        """
        png = folder / f'{self.name}_prediction.png'
        write_picture(self.picture, png)
        text = png.with_suffix('.json')
        write_json(self.content, text)
        return png, text


class Predictor:
    """Predicts the forms of all users with one inferencer.

    Nothing of a form is kept: classes, tasks and thresholds travel with the
    call, and the inferencer lets threads take turns at its network.

    Args:
        inferencer: The network.
        limits: Of the images.
    """

    def __init__(self, inferencer: FreeSegInferencer, limits: Limits) -> None:
        self._inferencer = inferencer
        self.limits = limits

    def predict(
        self, form: Form, report: Report = lambda *_: None
    ) -> PagePrediction:
        """Predict one form.

        Args:
            form: The fields of a user.
            report: Called with the progress.

        Raises:
            ValueError: If the form or its image is unusable; the message is
                for the user and names no folder of the server.
        """
        start = time.monotonic()
        report(0.05, 'reading the form')
        request = read_form(form, self.limits)
        report(0.1, 'segmenting, when it is your turn')
        result = self._infer(request)
        report(0.7, 'drawing')
        views = task_views(result)
        report(0.9, 'writing the files')
        picture, content = result.plot(), result.to_json()
        seconds = time.monotonic() - start
        height, width = result.size
        notes = [
            f'{result.source}: {width} x {height} pixels',
            f'{len(request.classes)} classes',
            *result.notes,
            f'{seconds:.1f} s',
        ]
        return PagePrediction(
            name=request.image.stem,
            views=views,
            picture=picture,
            content=content,
            summary=', '.join(notes),
        )

    def _infer(self, request: Request) -> ImageResult:
        path = request.image
        try:
            image = read_image(str(path))
        except ValueError as error:
            raise ValueError(
                str(error).replace(str(path), path.name)
            ) from error
        (result,) = self._inferencer(
            image.pixels,
            request.classes,
            things=request.things,
            tasks=[task.value for task in request.tasks],
            score_thr=request.score_thr,
        )
        return replace(
            result, source=path.name, notes=(*image.notes, *result.notes)
        )
