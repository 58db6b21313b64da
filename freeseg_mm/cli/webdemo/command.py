"""``freeseg-mm webdemo``: a page to try class names on an image."""

import argparse
from typing import Any

from freeseg_mm.cli.arguments import add_model_arguments, inferencer_of

from .serve import add_address, listen, missing_packages, run_server

EXAMPLES = """examples:
  freeseg-mm webdemo
  freeseg-mm webdemo --config configs/freeseg/coco.py \\
      --checkpoint work_dirs/coco/iter_60000.pth --port 8000

The page is for this machine alone unless --host says otherwise, and nothing
is fetched from or sent to any other. Exit status: 0 when it was stopped with
Ctrl+C; 1 after saying what was wrong; 2 for wrong usage.
"""
_NEEDED = ('gradio', 'fastapi', 'uvicorn')


def add_parser(commands: Any) -> None:
    """Add ``webdemo`` to the subcommands."""
    parser = commands.add_parser(
        'webdemo',
        help='try class names on an image in the browser',
        description='Serve a page: drop an image, name classes, see segments.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_address(parser, 7860)
    add_model_arguments(parser)
    parser.add_argument(
        '--keep-minutes',
        type=float,
        default=60,
        metavar='MINUTES',
        help='older uploads and predictions are deleted (default 60)',
    )
    parser.set_defaults(run=run, prompt_tuning=None)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl+C; mistakes are refused before weights are loaded."""
    if missing_packages('webdemo', _NEEDED):
        return 1
    from .form import PREDICTED_SIDE, Limits
    from .predictor import Predictor
    from .server import prepared_server

    args.max_side = PREDICTED_SIDE
    limits = Limits(args.max_upload_mb, args.largest_side, args.keep_minutes)
    with listen(args.host, args.port) as listening:
        predictor = Predictor(inferencer_of(args), limits)
        with prepared_server(predictor) as server:
            return run_server(server, listening, args.host, 'the page is')
