"""Command-line arguments that the commands of self-training share."""

import argparse
from dataclasses import fields

from .settings import PseudoLabelSettings

_DEFAULTS = {
    field.name: field.default for field in fields(PseudoLabelSettings)
}


def add_setting_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the thresholds, for :func:`settings_of`, workers and device."""
    for name, what in (
        ('score_thr', 'least class probability of a segment'),
        ('min_area', 'least size of one in pixels, or below 1 in images'),
        (
            'min_unlabelled',
            'least share of one on pixels without a seen label',
        ),
        ('overlap_thr', 'least share of a mask that better ones leave to it'),
    ):
        parser.add_argument(
            f'--{name.replace("_", "-")}',
            type=float,
            default=_DEFAULTS[name],
            help=f'{what} (default: %(default)s)',
        )
    parser.add_argument(
        '--prior',
        action=argparse.BooleanOptionalAction,
        default=_DEFAULTS['prior'],
        help='predict unseen classes alone, since an unlabelled pixel is of '
        'no seen class (default: %(default)s)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=1,
        help='processes that read images (default: %(default)s)',
    )
    parser.add_argument(
        '--device', help='as cuda:0 or cpu; default CUDA if there is one'
    )


def settings_of(args: argparse.Namespace) -> PseudoLabelSettings:
    """Read the thresholds from parsed arguments.

    Raises:
        ValueError: If one is out of range.
    """
    return PseudoLabelSettings(
        **{name: getattr(args, name) for name in _DEFAULTS}
    )
