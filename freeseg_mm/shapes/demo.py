"""The shapes benchmark from nothing to numbers and pictures."""

import io
import json
import math
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from freeseg_mm.analysis.logs import choose_curves, curves_figure, read_run
from freeseg_mm.analysis.results.figures import save_figure
from freeseg_mm.apis.inferencer import FreeSegInferencer
from freeseg_mm.recipes.processes import Slot
from freeseg_mm.utils.files import make_folder, read_json, write_json
from freeseg_mm.utils.image_files import write_picture
from freeseg_mm.utils.journal import RunStamp, StampState, file_digest

from .clip_training import ClipTraining, train_shapes_clip
from .mode_scores import choose_unseen, picture_modes, score_modes
from .world import MANIFEST, WorldOptions, generate_shapes

# By key in metrics.json.
ENSEMBLE_MODES = {'query': 'query', 'clip': 'clip', 'ensemble': 'geometric'}
# By title of their column in the pictures.
PICTURE_MODES = {
    'query scores only': 'query',
    'CLIP scores only': 'clip',
    'both': 'geometric',
}
_NUM_PICTURES = 10
# The curve has this many points, each of the first scenes of tune.
_CURVE_POINTS, _CURVE_SCENES = 5, 60
_CURVE_KEYS = tuple(
    f'{metric}_{part}'
    for metric in ('semantic/mIoU', 'instance/mAP', 'panoptic/PQ')
    for part in ('seen', 'unseen')
)
_FIGURE_SCALE = 2


@dataclass(frozen=True)
class ShapesDemo:
    """Steps of the demo, with their inputs and outputs.

    Each step uses the files of those before it, does nothing if its own are
    there already, and returns whether it had anything to do.

    Attributes:
        work_dir: Folder of training, metrics and pictures.
        data: Folder of the generated scenes.
        clip: Folder of the miniature CLIP.
        config: Config file of FreeSeg on the shapes benchmark.
        clip_config: open_clip config file of the miniature CLIP.
        train_script: OpenMMLab's script that trains a config.
        world: The scenes.
        clip_training: Training of the miniature CLIP.
        words: Classes to ask for in the end, in the reader's words.
        seed: Seed of FreeSeg's training.
        max_iters: FreeSeg's iterations; ``None`` for those of the config.
        overwrite: Replace scenes and CLIP of other options.
    """

    work_dir: Path
    data: Path
    clip: Path
    config: Path
    clip_config: Path
    train_script: Path
    world: WorldOptions
    clip_training: ClipTraining
    words: tuple[str, ...]
    seed: int = 0
    max_iters: int | None = None
    overwrite: bool = False

    @property
    def clip_weights(self) -> Path:
        """Weights of the miniature CLIP."""
        return self.clip / f'{self.clip_config.stem}.pt'

    @property
    def config_used(self) -> Path:
        """The config with these folders, for OpenMMLab's scripts."""
        return self.work_dir / 'config.py'

    @property
    def checkpoint(self) -> Path:
        """FreeSeg after its last iteration."""
        max_iters = self._config.train_cfg.max_iters
        return self.work_dir / 'train' / f'iter_{max_iters}.pth'

    @property
    def metrics(self) -> Path:
        """Metrics by ensemble mode (see ``ENSEMBLE_MODES``), JSON."""
        return self.work_dir / 'metrics.json'

    @property
    def pictures(self) -> tuple[Path, ...]:
        """Ground truth and predictions on images with unseen classes."""
        return tuple(
            self.work_dir / 'pictures' / f'{number:02d}.png'
            for number in range(1, _NUM_PICTURES + 1)
        )

    @property
    def figure(self) -> Path:
        """The first of the pictures, smaller, for a web page."""
        return self.work_dir / 'figure.png'

    @property
    def curve(self) -> Path:
        """Metrics of seen and unseen classes while FreeSeg was trained."""
        return self.work_dir / 'curve.png'

    @property
    def words_picture(self) -> Path:
        """An image with what was found for the reader's words."""
        return self.work_dir / 'words.png'

    def draw_world(self) -> bool:
        """Generate the scenes, anew after a break; see the generator."""
        overwrite = self.overwrite or self._is_world_unfinished
        return generate_shapes(self.data, self.world, overwrite=overwrite)

    def train_clip(self) -> bool:
        """Train the miniature CLIP on all classes.

        Raises:
            FileExistsError: If another CLIP is there and may not be
                replaced.
        """
        inputs = {
            'world': self._world_digest,
            'training': asdict(self.clip_training),
            'model': file_digest(self.clip_config),
        }
        stamp = RunStamp(
            self.clip / '.made_by_demo', inputs, [self.clip_weights]
        )
        if stamp.state() is StampState.OTHER and not self.overwrite:
            raise FileExistsError(
                f'{self.clip} holds a CLIP that the demo did not train, or '
                'with other options; name another folder with --clip, or '
                'give --overwrite to replace it'
            )
        return stamp.run(
            lambda: train_shapes_clip(
                self.data,
                self.clip,
                model_config=self.clip_config,
                training=self.clip_training,
            )
        )

    def train(self) -> bool:
        """Train FreeSeg on the seen classes, or go on after a break.

        Raises:
            RuntimeError: If the training fails.
        """
        folder = self.checkpoint.parent
        make_folder(folder)
        self._config.dump(self.config_used)

        inputs = {
            'world': self._world_digest,
            'clip': file_digest(self.clip_weights),
            'config': file_digest(self.config_used),
        }
        stamp = RunStamp(folder / '.step.json', inputs, [self.checkpoint])
        if stamp.state() in (StampState.ABSENT, StampState.OTHER):
            # what --resume goes by
            (folder / 'last_checkpoint').unlink(missing_ok=True)
        command = [
            *(sys.executable, str(self.train_script)),
            *(str(self.config_used), '--work-dir', str(folder), '--resume'),
        ]
        return stamp.run(
            lambda: Slot().run(
                'training',
                command,
                self.work_dir / 'train.log',
                max_iters=self._config.train_cfg.max_iters,
            )
        )

    def measure(self) -> bool:
        """Test with the scores of the queries, of CLIP and of both."""

        def measure() -> None:
            scores = score_modes(
                self._runner.model, self._runner.test_loop, ENSEMBLE_MODES
            )
            content = {
                mode: {
                    key: None if math.isnan(value) else value
                    for key, value in metrics.items()
                }
                for mode, metrics in scores.items()
            }
            write_json(content, self.metrics, indent=2)

        return self._run_on_checkpoint('measure', [self.metrics], measure)

    def draw_pictures(self) -> bool:
        """Draw images of unseen classes, chosen by their ground truth."""

        def draw() -> None:
            model = self._runner.model
            dataset = self._runner.test_loop.dataloader.dataset
            chosen = choose_unseen(dataset, len(self.pictures))
            for index, path in zip(chosen, self.pictures, strict=False):
                picture = picture_modes(model, dataset, index, PICTURE_MODES)
                write_picture(picture, path)
            figure = picture_modes(
                model,
                dataset,
                chosen[0],
                PICTURE_MODES,
                scale=_FIGURE_SCALE,
            )
            # few colours, which no eye misses, make a small file
            few = Image.fromarray(figure).quantize(
                method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
            )
            write_picture(few, self.figure)

        outputs = [*self.pictures, self.figure]
        return self._run_on_checkpoint('pictures', outputs, draw)

    def draw_curve(self) -> bool:
        """Draw how the metrics of scenes of ``tune`` rose in training."""

        def draw() -> None:
            log = read_run(self.checkpoint.parent)
            # of too few scenes to show a class, a metric is no number
            keys = [
                key
                for key in _CURVE_KEYS
                if any(math.isfinite(x) for _, x in log.curves.get(key, ()))
            ]
            curves = choose_curves({'training': log}, keys)
            scenes = min(_CURVE_SCENES, self.world.tune)
            title = f'{scenes} scenes of tune, both scores'
            save_figure(curves_figure(curves, title=title), self.curve)

        return self._run_on_checkpoint('curve', [self.curve], draw)

    def ask(self) -> bool:
        """Ask for :attr:`words` in the first of the pictures' images."""

        def draw() -> None:
            dataset = self._runner.test_loop.dataloader.dataset
            (index,) = choose_unseen(dataset, 1)
            inferencer = FreeSegInferencer(
                self.config_used, self.checkpoint, device='cpu', progress=False
            )
            (result,) = inferencer(
                dataset.get_data_info(index)['img_path'], self.words
            )
            write_picture(result.plot(), self.words_picture)

        return self._run_on_checkpoint(
            'words', [self.words_picture], draw, words=self.words
        )

    def read_metrics(self) -> dict[str, dict[str, float | None]]:
        """Read the metrics that :meth:`measure` wrote."""
        return json.loads(self.metrics.read_text('utf-8'))

    @property
    def _is_world_unfinished(self) -> bool:
        path = self.data / MANIFEST
        if not path.is_file():
            return False
        found = read_json(path)
        is_ours = found.get('options') == asdict(self.world)
        return is_ours and found.get('complete') is False

    @property
    def _world_digest(self) -> str:
        """Digest of the options that decide every byte of the scenes."""
        return file_digest(self.data / MANIFEST)

    @cached_property
    def _config(self) -> Config:
        config = Config.fromfile(self.config)
        for name in ('train', 'val', 'test'):
            loader = config[f'{name}_dataloader']
            loader.dataset.data_root = f'{self.data}/'
        for metric in (*config.val_evaluator, *config.test_evaluator):
            if 'ann_file' in metric:
                name = Path(metric.ann_file).name
                metric.ann_file = str(self.data / 'annotations' / name)
        config.model.clip.model = str(self.clip / self.clip_config.name)
        config.model.clip.pretrained = str(self.clip_weights)
        config.randomness.seed = self.seed
        config.default_hooks.logger.interval = 10
        if self.max_iters is not None:
            config.train_cfg.max_iters = self.max_iters
            config.default_hooks.logger.interval = 1
        max_iters = config.train_cfg.max_iters
        config.train_cfg.val_interval = max(1, max_iters // _CURVE_POINTS)
        config.val_dataloader.dataset.indices = _CURVE_SCENES
        return config

    @cached_property
    def _runner(self) -> Runner:
        """Holds the trained model and the test data."""
        config = self._config.copy()
        config.work_dir = str(self.work_dir / 'test')
        config.log_level = 'WARNING'
        runner = Runner.from_cfg(config)
        runner.load_checkpoint(str(self.checkpoint), map_location='cpu')
        return runner

    def _run_on_checkpoint(
        self,
        name: str,
        outputs: list[Path],
        action: Callable[[], object],
        **inputs: Any,
    ) -> bool:
        inputs |= {
            'checkpoint': file_digest(self.checkpoint),
            'config': file_digest(self.config_used),
        }
        stamp = RunStamp(self.work_dir / f'.{name}.json', inputs, outputs)
        # pycocotools and others talk about each of their steps.
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return stamp.run(action)
