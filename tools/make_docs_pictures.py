#!/usr/bin/env python
"""Draw the pictures of the documents with the demo's weights.

    make demo
    python tools/make_docs_pictures.py

It is always the same scenes, chosen by their truth.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdet.apis import init_detector
from tqdm import tqdm

from freeseg_mm.datasets.from_config import (
    build_dataset,
    dataset_configs,
    read_config,
)
from freeseg_mm.datasets.preparation.command import (
    CONFIG_MISTAKES,
    run_command,
)
from freeseg_mm.engine.docs_pictures import docs_pictures
from freeseg_mm.visualization.small_png import write_small_png


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--config',
        type=Path,
        default=Path('work_dirs/demo/config.py'),
        help='of the shapes benchmark (default: %(default)s)',
    )
    parser.add_argument(
        '--checkpoint',
        type=Path,
        default=Path('work_dirs/demo/train/iter_500.pth'),
        help='its weights (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('docs/images'),
        help='folder of the pictures (default: %(default)s)',
    )
    return parser.parse_args(arguments)


def draw(args: argparse.Namespace) -> None:
    for path in (args.config, args.checkpoint):
        if not path.is_file():
            raise FileNotFoundError(f'no file {path}; run make demo')
    config = read_config(args.config)
    test, train = (
        build_dataset(dataset_configs(config, split)[0])
        for split in ('test', 'train')
    )
    model = init_detector(
        config, str(args.checkpoint), palette='random', device='cpu'
    )
    args.out.mkdir(parents=True, exist_ok=True)
    for name, picture in tqdm(docs_pictures(model, test, train), 'drawing'):
        write_small_png(picture, args.out / f'{name}.png')
    print(f'pictures are in {args.out}')


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_args(arguments)
    return run_command(
        'make_docs_pictures', lambda: draw(args), CONFIG_MISTAKES
    )


if __name__ == '__main__':
    sys.exit(main())
