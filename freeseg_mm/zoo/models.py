"""Public weights by name: from an address to a checkpoint of ours.

The index is the configs of ``configs/zoo``: each is a whole config whose
``zoo`` says where weights for it lie.
"""

import os
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from freeseg_mm.engine.checkpoint import WeightsInfo
from freeseg_mm.engine.compatibility_hook import KEY
from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Vocabulary
from freeseg_mm.utils.files import atomic_path, config_roots, make_folder
from freeseg_mm.utils.run_config import use_scope

from .downloads import download, file_sha256
from .foreign import read_state
from .layouts import convert

_CONFIGS = 'configs/zoo'
_RANDOM = 'random'


@dataclass(frozen=True)
class ZooModel:
    """Public weights that fit a config.

    Attributes:
        name: Of the config, without its folder and ending.
        config_file: The config.
        url: Address of the weights.
        file: Name of the file there.
        sha256: First digits of its SHA-256, ``None`` if none is published.
        licence: Of the weights.
        source: Who trained and published them.
        layout: See :data:`freeseg_mm.zoo.layouts.LAYOUTS`.
        vocabulary: Built-in vocabulary that they were trained on.
        reported: Percentages that their authors report, by dataset and
            metric.
    """

    name: str
    config_file: Path
    url: str
    file: str
    sha256: str | None
    licence: str
    source: str
    layout: str
    vocabulary: str
    reported: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> 'ZooModel':
        """Read what a config says of its weights.

        Raises:
            ValueError: If an entry of ``zoo`` is missing or unknown.
        """
        content = dict(Config.fromfile(path).get('zoo') or {})
        needed = {entry.name for entry in fields(cls)[2:]}
        if content.keys() != needed:
            raise ValueError(
                f'{path}: expected zoo = dict(...) with {sorted(needed)}, '
                f'found {sorted(content)}'
            )
        return cls(name=path.stem, config_file=path, **content)

    @property
    def checkpoint(self) -> Path:
        """Place of the converted checkpoint, there or not."""
        return converted_checkpoint(self.name)

    @property
    def rank(self) -> tuple[float, float]:
        """Reported PQ on ADE20K, then on COCO: the larger the better."""
        ade, coco = (
            self.reported.get(dataset, {}).get('PQ', 0.0)
            for dataset in ('ade20k', 'coco')
        )
        return ade, coco

    def get(self, file: Path | None = None) -> str:
        """Fetch the weights and convert them.

        Args:
            file: The file, where it is on this machine already.

        Returns:
            SHA-256 of the file.

        Raises:
            OSError: See :func:`download`; also without the network of CLIP.
            ValueError: If the file is not the one expected, would run code
                or does not fit the config.
        """
        if file is None:
            file = zoo_home() / 'downloads' / self.file
            digest = download(self.url, file, self.sha256)
        elif not file.is_file():
            raise FileNotFoundError(f'no file {file}')
        else:
            digest = file_sha256(file)
            if not digest.startswith(self.sha256 or ''):
                raise ValueError(
                    f'{file} has SHA-256 {digest}, the weights of {self.name} '
                    f'begin with {self.sha256}: it is another file, or '
                    'damaged'
                )
        convert_file(
            file, self.layout, Config.fromfile(self.config_file),
            self.checkpoint, digest,
        )  # fmt: skip
        return digest


def zoo_home() -> Path:
    """Folder of downloads and converted models, ``FREESEG_MM_HOME``."""
    home = os.environ.get('FREESEG_MM_HOME') or '~/.cache/freeseg_mm'
    return Path(home).expanduser()


def converted_checkpoint(name: str) -> Path:
    """Place of a converted checkpoint, there or not."""
    return zoo_home() / 'models' / f'{name}.pth'


def zoo_configs() -> dict[str, Path]:
    """Configs of the zoo by name, those of the current folder first."""
    found: dict[str, Path] = {}
    for root in config_roots():
        for path in sorted((root / _CONFIGS).glob('*.py')):
            found.setdefault(path.stem, path)
    return found


def zoo_models() -> Iterator[ZooModel]:
    """All models of the zoo, by name."""
    for _, path in sorted(zoo_configs().items()):
        yield ZooModel.read(path)


def find_zoo_model(name: str) -> ZooModel:
    """One model of the zoo.

    Raises:
        KeyError: If there is none of this name; the message lists them.
    """
    configs = zoo_configs()
    if name not in configs:
        raise KeyError(
            f'no model {name!r} in the zoo; there are '
            f'{", ".join(sorted(configs)) or f"none: no {_CONFIGS} here"}'
        )
    return ZooModel.read(configs[name])


def best_zoo_model() -> ZooModel | None:
    """The converted model with the best :attr:`ZooModel.rank`, if any."""
    models = (
        ZooModel.read(path)
        for name, path in sorted(zoo_configs().items())
        if converted_checkpoint(name).is_file()
    )
    return max(models, key=lambda model: model.rank, default=None)


def convert_file(
    path: Path,
    layout: str,
    config: Config,
    out: Path,
    digest: str | None = None,
) -> None:
    """Write a checkpoint of another system as one of ours.

    Equal inputs give equal bytes. The model of the config is built, which
    may fetch the weights of its CLIP; their fingerprint is written down
    unless they are random.

    Args:
        path: The other system's file.
        layout: See :data:`freeseg_mm.zoo.layouts.LAYOUTS`.
        config: Config of the model that shall load it; not changed. Its
            ``zoo.vocabulary``, else that of its training data, is what the
            checkpoint says it was trained on.
        out: File to write; its folder is made.
        digest: SHA-256 of the file, where it is known already.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, would run code, or does not fit
            the config.
    """
    state = read_state(path)
    use_scope(config)
    model: FreeSeg = MODELS.build(deepcopy(config.model))
    try:
        converted = convert(state, layout, model.state_dict())
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    vocabulary = _trained_on(config)
    facts = dict(config.get('zoo') or {})
    content: dict[str, Any] = {
        'meta': {
            'cfg': config.pretty_text,
            'dataset_meta': {
                'classes': vocabulary.names,
                'vocabulary': vocabulary.to_dict(),
            },
            'zoo': {
                'layout': layout,
                'file': path.name,
                'sha256': digest or file_sha256(path),
                'source': facts.get('source'),
                'licence': facts.get('licence'),
            },
        },
        'state_dict': converted,
    }
    if model.clip.pretrained != _RANDOM:
        content[KEY] = {
            **model.clip.notes,
            'vocabulary': vocabulary.content_hash,
            'vocabulary_name': vocabulary.name,
        }
    make_folder(out.parent)
    # into an open file: else torch would write its name into it
    with atomic_path(out) as name, open(name, 'wb') as opened:
        torch.save(content, opened)


def zoo_facts(checkpoint: Path) -> dict[str, Any]:
    """Read notes of :func:`convert_file` on the file it converted.

    Raises:
        ValueError: If it is no such checkpoint.
    """
    meta = WeightsInfo.read(checkpoint).content.get('meta', {})
    if 'zoo' not in meta:
        raise ValueError(f'{checkpoint} was not converted from public weights')
    return dict(meta['zoo'])


def _trained_on(config: Config) -> Vocabulary:
    if 'zoo' in config:
        return Vocabulary.load(config.zoo.vocabulary)
    return Vocabulary.load(config.train_dataloader.dataset.vocabulary)
