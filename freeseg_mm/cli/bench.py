"""``freeseg-mm bench``: counts first, then time, as ratios of one run."""

from typing import Any

from . import bench_infer, bench_train

PARTS: tuple = (bench_infer, bench_train)
"""Modules that add one measurement each."""


def add_parser(commands: Any) -> None:
    """Add ``bench`` and what it can measure to the subcommands."""
    parser = commands.add_parser('bench', help='measure costs')
    measurements = parser.add_subparsers(
        metavar='WHAT', dest='what', required=True
    )
    for part in PARTS:
        part.add_parser(measurements)
