"""Generate the shapes world: scenes of coloured figures on textures.

Writes a COCO-panoptic dataset with the splits train, val and clip (the
scenes that train the miniature CLIP, see tools/pretrain_clip.py). The same
options give the same bytes. Half a minute on two cores.
"""

import argparse
import sys
from dataclasses import fields

from freeseg_mm.shapes import WorldOptions, generate_shapes

_HELP = {
    'train': 'number of training scenes',
    'val': 'number of test scenes',
    'clip': 'number of scenes for the miniature CLIP',
    'size': 'side of the images in pixels',
    'seed': 'seed of everything random',
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('out', help='folder to write')
    for field in fields(WorldOptions):
        parser.add_argument(
            f'--{field.name}',
            type=int,
            default=field.default,
            help=_HELP[field.name],
        )
    parser.add_argument(
        '--workers', type=int, help='processes; one per core if not given'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace shapes data of other options',
    )
    args = parser.parse_args()
    try:
        options = WorldOptions(**{name: getattr(args, name) for name in _HELP})
        written = generate_shapes(
            args.out,
            options,
            workers=args.workers,
            overwrite=args.overwrite,
        )
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(
        f'shapes data is in {args.out}'
        if written
        else f'nothing to do: {args.out} already holds this data'
    )


if __name__ == '__main__':
    main()
