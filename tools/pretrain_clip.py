"""Train the miniature CLIP of the shapes world.

Learns contrastively from captioned crops of the split clip of a folder that
tools/make_shapes.py wrote. Writes an ordinary open_clip checkpoint, its model
config and metrics.json with the zero-shot accuracy on crops of the split val.
Two and a half minutes on two cores.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from freeseg_mm.shapes.clip_training import ClipTraining, train_shapes_clip

_CONFIG = Path(__file__).parents[1] / 'configs' / 'clip' / 'shapes_clip.json'
_HELP = {
    'steps': 'number of optimizer steps',
    'groups': 'crops of each class in a step',
    'lr': 'largest learning rate',
    'warmup': 'share of the steps that warm up',
    'weight_decay': 'of AdamW',
    'seed': 'seed of weights, crops and captions',
    'threads': 'CPU threads',
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('data', help='folder of the shapes data')
    parser.add_argument('out', help='folder to write; files are replaced')
    parser.add_argument(
        '--model', default=_CONFIG, help='open_clip model config (.json)'
    )
    for field in fields(ClipTraining):
        parser.add_argument(
            f'--{field.name.replace("_", "-")}',
            type=type(field.default),
            default=field.default,
            help=_HELP[field.name],
        )
    args = parser.parse_args()
    try:
        metrics = train_shapes_clip(
            args.data,
            args.out,
            model_config=args.model,
            training=ClipTraining(
                **{name: getattr(args, name) for name in _HELP}
            ),
        )
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    accuracy = metrics['zero_shot_accuracy']
    print(
        'zero-shot accuracy on val crops, percent: '
        + ', '.join(f'{key} {value:.1f}' for key, value in accuracy.items())
    )


if __name__ == '__main__':
    main()
