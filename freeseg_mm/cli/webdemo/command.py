"""``freeseg-mm webdemo``: a page to try class names on an image."""

import argparse
import sys
from importlib.util import find_spec
from typing import Any

from freeseg_mm.cli.arguments import add_model_arguments, inferencer_of

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
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen on (default 127.0.0.1, this machine alone); '
        '0.0.0.0 lets in everyone who can reach it',
    )
    parser.add_argument(
        '--port', type=int, default=7860, help='default 7860; 0 for any free'
    )
    add_model_arguments(parser)
    parser.add_argument(
        '--max-side',
        dest='largest_side',
        type=int,
        default=4096,
        metavar='PIXELS',
        help='images with a longer side are refused (default 4096); those '
        'over 2048 are predicted at 2048, then enlarged',
    )
    parser.add_argument(
        '--max-upload-mb',
        type=float,
        default=20,
        metavar='MB',
        help='larger files are refused (default 20)',
    )
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
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(
            f'freeseg-mm: webdemo needs {", ".join(missing)}; run `pip '
            'install -r requirements/webdemo.txt` or `pip install '
            "'freeseg_mm[webdemo]'`",
            file=sys.stderr,
        )
        return 1
    from .form import PREDICTED_SIDE, Limits
    from .predictor import Predictor
    from .server import address_of, is_local, listen, prepared_server

    args.max_side = PREDICTED_SIDE
    limits = Limits(args.max_upload_mb, args.largest_side, args.keep_minutes)
    with listen(args.host, args.port) as listening:
        predictor = Predictor(inferencer_of(args), limits)
        with prepared_server(predictor) as server:
            print(
                f'the page is at {address_of(listening)} (Ctrl+C stops it)',
                flush=True,
            )
            if not is_local(args.host):
                print(
                    f'freeseg-mm: --host {args.host} lets in everyone who can '
                    'reach this machine; there is no password',
                    file=sys.stderr,
                )
            try:
                server.run(sockets=[listening])
            except KeyboardInterrupt:
                print('stopped', file=sys.stderr)
    return 0
