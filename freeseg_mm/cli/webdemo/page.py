"""Layout of the page: fields, a button, results, examples."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from freeseg_mm.shapes.scene import compose_scene
from freeseg_mm.shapes.world import plan_split
from freeseg_mm.structures import Task

from .form import NO_THINGS, Form
from .predictor import PagePrediction, Predictor
from .views import legend_table

TITLE = 'FreeSeg: any class, any image'
STYLE = Path(__file__).with_name('page.css')
_INTRODUCTION = f"""# {TITLE}
One set of weights cuts an image into panoptic, instance and semantic segments,
for the classes that you name."""
_EMPTY = 'Drop an image, name classes, press the button; or click an example.'
# As a reader wants them: the whole first.
_TASKS = (Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC)
# One at the network, one reading or drawing.
_AT_ONCE = 2
# Waiting for their turn; gradio tells others that the queue is full.
_WAITING = 32
# Browsers whose results gradio remembers, for features not used here.
_SESSIONS = 32

_SIDE = 128
_SEED = 0
# By number in the shapes benchmark's test split: other names for some, and
# something that is not there.
_EXAMPLES = {
    3: (
        'purple cross, red cross, yellow square|yellow box, sky, water, sand',
        'purple cross, red cross, yellow square',
    ),
    7: (
        'green square|green box, black triangle, purple star, red circle, '
        'wood, grass, sand, snow',
        'green square, black triangle, purple star, red circle',
    ),
    9: (
        'blue triangle, black ring, green star, brick, sky',
        'blue triangle, black ring, green star',
    ),
}


@dataclass(frozen=True)
class Example:
    """Fields that a click fills in.

    Attributes:
        image: A file.
        classes: As a user would write them.
        things: The same.
    """

    image: Path
    classes: str
    things: str


def write_examples(folder: Path) -> list[Example]:
    """Draw the examples into a folder.

    The scenes are those that ``make demo`` tests on, at their size.
    """
    plans = {plan.number: plan for plan in plan_split('val', 9, _SEED)}
    examples = []
    for number, (classes, things) in _EXAMPLES.items():
        plan = plans[number]
        rng = np.random.default_rng(plan.seed)
        scene = compose_scene(plan.stuff, plan.things, _SIDE, rng)
        path = folder / f'scene_{number}.png'
        Image.fromarray(scene.image).save(path)
        examples.append(Example(path, classes, things))
    return examples


def build_page(predictor: Predictor, examples: Sequence[Example]) -> Any:
    """Lay out the page.

    Args:
        predictor: Predicts when the button is pressed.
        examples: Shown below the form.

    Returns:
        A ``gradio.Blocks``, not yet served.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(_INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                fields = _fields(predictor)
                button = gr.Button(
                    'Segment', variant='primary', elem_id='segment'
                )
            with gr.Column(scale=3, min_width=320):
                results = _results()
        gr.Examples(
            [[str(x.image), x.classes, x.things] for x in examples],
            inputs=fields[:3],
        )
        button.click(
            _handler(predictor),
            fields,
            results,
            api_name='segment',
            concurrency_limit=_AT_ONCE,
            show_progress_on=results[0],
        )
    # closed: else requests could pass the queue by
    page.queue(max_size=_WAITING, api_open=False)
    page.state_session_capacity = _SESSIONS
    _read_uploads_alone(page)
    return page


def _fields(predictor: Predictor) -> list[Any]:
    """The fields, in the order of :class:`Form`."""
    limits = predictor.limits
    image = gr.Image(
        label='Image',
        placeholder='Drop an image here, or click to choose one\n'
        f'(up to {limits.max_upload_mb:g} MB, {limits.max_side} pixels a '
        'side)',
        type='filepath',
        image_mode=None,
        sources=['upload', 'clipboard'],
        height=240,
        buttons=[],
        elem_id='image',
    )
    # The inferencer says why a file cannot be read.
    image.preprocess = lambda payload: payload and payload.path
    return [
        image,
        gr.Textbox(
            label='Classes',
            info='commas between classes, | between names of one class',
            placeholder='cat|kitten, dog, grass',
            lines=2,
            elem_id='words',
        ),
        gr.Textbox(
            label='Things among them',
            info='counted one by one, all others are stuff. Empty: as '
            f'training, COCO, ADE20K and VOC say; {NO_THINGS} for none',
            placeholder='cat, dog',
            elem_id='things',
        ),
        gr.CheckboxGroup(
            [task.value for task in _TASKS],
            value=[task.value for task in _TASKS],
            label='Tasks',
            elem_id='tasks',
        ),
        gr.Slider(
            0,
            1,
            value=0.3,
            step=0.05,
            label='Least score of an instance',
            elem_id='score',
        ),
    ]


def _results() -> list[Any]:
    """Summary; for each task tab, picture, legend; then PNG, JSON."""
    parts = [gr.HTML(_EMPTY, elem_id='summary')]
    with gr.Tabs(elem_id='results'):
        for task in _TASKS:
            with gr.Tab(task.value, id=task.value) as tab:
                picture = gr.Image(
                    # not webp, which loses the colours of the legend
                    format='png',
                    show_label=False,
                    interactive=False,
                    buttons=['fullscreen'],
                    elem_id=f'picture-{task.value}',
                )
                legend = gr.HTML(elem_id=f'legend-{task.value}')
            parts += [tab, picture, legend]
    with gr.Row():
        files = [
            gr.DownloadButton(
                f'Download {kind}', interactive=False, elem_id=kind.lower()
            )
            for kind in ('PNG', 'JSON')
        ]
    return [*parts, *files]


def _handler(predictor: Predictor) -> Any:
    # gradio finds the progress by its default value
    def segment(
        image: str | None,
        classes: str,
        things: str,
        tasks: list[str],
        score: float,
        progress: Any = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        form = Form(image, classes, things, tasks, score)
        try:
            prediction = predictor.predict(
                form, lambda done, what: progress(done, desc=what)
            )
        except (OSError, TypeError, ValueError) as error:
            raise gr.Error(
                html.escape(str(error), quote=False),
                duration=None,
                title='This cannot be predicted',
                print_exception=False,
            ) from error
        return _shown(prediction)

    return segment


def _shown(prediction: PagePrediction) -> list[Any]:
    """Values of the components of :func:`_results`."""
    values: list[Any] = [html.escape(prediction.summary)]
    for task in _TASKS:
        view = prediction.views.get(task)
        values.append(gr.Tab(visible=view is not None))
        if view is None:
            values += [None, '']
        else:
            values += [view.picture, legend_table(view.rows)]
    # among what the server deletes when it is old
    for path in prediction.write(Path(mkdtemp(dir=get_upload_folder()))):
        values.append(gr.DownloadButton(value=path, interactive=True))
    return values


def _read_uploads_alone(page: Any) -> None:
    """Refuse to read files that were not uploaded, and to fetch addresses.

    Any field may be sent what gradio takes for a file, and in a mounted page
    it copies each path of the machine to where it can be downloaded.
    """
    for block in page.blocks.values():
        move = getattr(block, 'async_move_resource_to_block_cache', None)
        if move is not None:
            folder = Path(block.GRADIO_CACHE).resolve()
            block.async_move_resource_to_block_cache = _inside(folder, move)


def _inside(folder: Path, move: Any) -> Any:
    async def move_own(file: str | Path | None) -> str | None:
        path = Path(file or '').resolve()
        # gradio would try to delete a folder as a file, and stop at that
        if file and (path.is_dir() or not path.is_relative_to(folder)):
            raise gr.Error(
                'this is no uploaded file; upload the image itself',
                print_exception=False,
            )
        return await move(file)

    return move_own
