"""``freeseg-mm compare``: FreeSeg beside CLIP alone, as a figure."""

import argparse
from pathlib import Path
from typing import Any

from .arguments import (
    TASKS,
    add_class_arguments,
    add_image_arguments,
    classes_of,
    inferencer_of,
    marks_of,
    prediction_options,
    say,
)

TEXT = """\
Draw the paper's Fig. 3 for an image: FreeSeg beside CLIP alone, and a column
of the classes that either finds, unseen ones in red.

Both sides have the same masks. FreeSeg classifies them as configured, CLIP
alone by its own view of each (mode clip of model.test_cfg.ensemble), with
the prompts as they are, tuned or not on the other side.
"""
EXAMPLES = """examples:
  freeseg-mm compare photo.jpg --classes 'cat, dog, grass' --out figure.png
  freeseg-mm compare photo.jpg --vocab voc --unseen 'sheep, sofa' \\
      --tasks semantic panoptic --config configs/freeseg/voc.py \\
      --checkpoint work_dirs/voc/iter_60000.pth --out figure.png
"""


def add_parser(commands: Any) -> None:
    """Add ``compare`` to the subcommands."""
    parser = commands.add_parser(
        'compare',
        help='draw FreeSeg beside CLIP alone on the same masks',
        description=TEXT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('image', metavar='IMAGE', help='file or URL')
    add_class_arguments(parser)
    parser.add_argument(
        '--tasks',
        nargs='+',
        choices=TASKS,
        metavar='TASK',
        help=f'a row each, {", ".join(TASKS)}; default as configured',
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='FILE',
        required=True,
        help='the figure, a PNG',
    )
    add_image_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Predict twice and draw; what can be refused is, before weights.

    Raises:
        ValueError: If the output is no name of a PNG, the input is not one
            image, or the model has no CLIP to predict alone.
    """
    from freeseg_mm.apis.inputs import list_images, local_path
    from freeseg_mm.apis.video import is_video
    from freeseg_mm.utils.image_files import write_picture
    from freeseg_mm.visualization import comparison

    classes, marks = classes_of(args), marks_of(args)
    given = prediction_options(args)
    out: Path = args.out
    if out.suffix.lower() != '.png':
        raise ValueError(f'--out {out}: expected a name that ends in .png')
    images = list_images(args.image)
    if images != [args.image] or is_video(args.image):
        raise ValueError(
            f'{args.image}: expected one image, a file or URL; '
            '`freeseg-mm predict` takes several and videos'
        )
    if out.resolve() == local_path(args.image).resolve():
        raise ValueError(
            f'--out {out}: would take the place of the image itself; choose '
            'another name'
        )
    inferencer = inferencer_of(args)
    found = {}
    # without CLIP its side is refused, so it comes first
    for name, options in (
        ('CLIP alone', {'mode': 'clip', 'prompt_tuning': False}),
        ('FreeSeg', {}),
    ):
        (found[name],) = inferencer(
            args.image, classes, tasks=args.tasks, **marks, **given, **options
        )
    ours = found['FreeSeg']
    figure = comparison(
        ours.image,
        {name: found[name].regions() for name in ('FreeSeg', 'CLIP alone')},
        ours.vocabulary,
    )
    write_picture(figure, out)
    say(f'wrote {out}')
