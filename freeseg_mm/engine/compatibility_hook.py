"""Refuse, before any work is done, what cannot give sound results."""

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.registry import HOOKS
from freeseg_mm.structures import Vocabulary


def model_of(runner: Runner) -> FreeSeg:
    """The FreeSeg that a runner trains or tests, in one or many processes."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model


KEY = 'freeseg_mm'


@HOOKS.register_module()
class CompatibilityHook(Hook):
    """Check vocabulary and CLIP when a run starts and a checkpoint loads.

    Checkpoints do not hold CLIP, and their embeddings mean nothing beside
    another one; so each carries CLIP's fingerprint, and the hash of the
    vocabulary it was trained on.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        """Check that CLIP can read every name that the run will use.

        Validation comes hours later, so its names are checked here too.

        Raises:
            ValueError: If a name is too long for CLIP's context.
        """
        _check_names(runner, runner.train_dataloader.dataset.metainfo)
        if runner.val_loop is not None:
            self.before_val(runner)

    def before_val(self, runner: Runner) -> None:
        """Check that CLIP can read every name that validation will use."""
        _check_names(runner, runner.val_dataloader.dataset.metainfo)

    def before_test(self, runner: Runner) -> None:
        """Check that CLIP can read every name that testing will use."""
        _check_names(runner, runner.test_dataloader.dataset.metainfo)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write down which CLIP and which names the weights belong to."""
        vocabulary = _train_vocabulary(runner)
        checkpoint[KEY] = {
            **model_of(runner).clip.notes,
            'vocabulary': vocabulary.content_hash,
            'vocabulary_name': vocabulary.name,
        }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare with what this run uses.

        Raises:
            ValueError: If the checkpoint belongs to another CLIP, or if a
                run is resumed with another vocabulary.
        """
        if KEY not in checkpoint:
            print_log(
                'the checkpoint does not say which CLIP it was trained with '
                '(not written by freeseg_mm?); it is loaded unchecked',
                logger='current',
                level=30,
            )
            return
        stored = checkpoint[KEY]
        model_of(runner).clip.check_notes(stored, 'the checkpoint')
        if not runner._resume:
            return
        vocabulary = _train_vocabulary(runner)
        if stored['vocabulary'] != vocabulary.content_hash:
            raise ValueError(
                f'cannot resume: the checkpoint was trained on vocabulary '
                f'{stored["vocabulary_name"]!r} ({stored["vocabulary"]}), '
                f'this run trains on {vocabulary.name!r} '
                f'({vocabulary.content_hash}); use load_from to start anew '
                'from its weights'
            )


def _train_vocabulary(runner: Runner) -> Vocabulary:
    return Vocabulary.from_dict(
        runner.train_dataloader.dataset.metainfo['vocabulary']
    )


def _check_names(runner: Runner, metainfo: dict) -> None:
    model_of(runner).check_vocabulary(
        Vocabulary.from_dict(metainfo['vocabulary'])
    )
