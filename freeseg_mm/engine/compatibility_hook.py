"""Refuse, before any work is done, what cannot give sound results."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.runner import Runner

from freeseg_mm.models.segmentors import FreeSeg
from freeseg_mm.registry import HOOKS
from freeseg_mm.structures import Vocabulary


def model_of(runner: Runner) -> FreeSeg:
    """The FreeSeg that a runner trains or tests, whatever is around it."""
    model = runner.model
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


KEY = 'freeseg_mm'
_AS_BEFORE = 'give the config and options of the first run'
_ANEW = 'use load_from to start anew from its weights'
# State of schedulers and parameter groups that changes as a run goes on.
_PROGRESS = {
    '_global_step', '_last_value', 'last_step', 'lr', 'momentum', 'params',
    'verbose',
}  # fmt: skip


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
            ValueError: If a name is too long for CLIP's context, or nothing
                would be learned after a resume.
        """
        if runner._resume:
            _require_learning(runner)
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
                run is resumed with another vocabulary, schedule or
                optimizer, or from weights alone.
        """
        if runner._resume:
            _check_resume(runner, checkpoint)
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


def _check_resume(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Refuse what a resume would restore over what the config says."""
    meta = checkpoint.get('meta')
    if (
        not isinstance(meta, dict)
        or not {'iter', 'epoch'} <= set(meta)
        or 'message_hub' not in checkpoint
    ):
        raise ValueError(
            'cannot resume: the checkpoint holds weights but no state of a '
            f'training; {_ANEW}'
        )
    if 'config' in meta:  # mmengine would run it
        raise ValueError(
            "cannot resume: the checkpoint's meta holds 'config', which is "
            'code; delete the entry'
        )
    pairs: list[tuple[str, Any, Any]] = []
    schedulers = runner.param_schedulers
    if isinstance(schedulers, list) and 'param_schedulers' in checkpoint:
        stored = checkpoint['param_schedulers']
        if len(stored) != len(schedulers):
            raise ValueError(
                f'cannot resume: the checkpoint has {len(stored)} schedules, '
                f'the config {len(schedulers)}; {_AS_BEFORE} or {_ANEW}'
            )
        pairs += [
            (f'param_scheduler[{index}]', old, new.state_dict())
            for index, (old, new) in enumerate(
                zip(stored, schedulers, strict=True)
            )
            if isinstance(new, _ParamScheduler)
        ]
    if isinstance(runner.optim_wrapper, OptimWrapper):
        pairs += [
            (f'optim_wrapper, group {index},', old, new)
            for index, (old, new) in enumerate(
                zip(
                    checkpoint.get('optimizer', {}).get('param_groups', ()),
                    runner.optim_wrapper.param_groups,
                    strict=False,
                )
            )
        ]
    for place, old, new in pairs:
        for name in sorted((old.keys() & new.keys()) - _PROGRESS):
            if old[name] != new[name]:
                raise ValueError(
                    f'cannot resume: {place} has {name} {new[name]!r} in the '
                    f'config and {old[name]!r} in the checkpoint, which a '
                    f'resume would bring back; {_AS_BEFORE} or {_ANEW}'
                )


def _require_learning(runner: Runner) -> None:
    """Refuse to go on after the end of a schedule that ends with 0."""
    rates = [
        group['lr'] for group in runner.optim_wrapper.optimizer.param_groups
    ]
    ends = [
        scheduler.end
        for scheduler in runner.param_schedulers or ()
        if not scheduler.by_epoch
    ]
    if ends and not any(rates) and runner.iter >= max(ends):
        raise ValueError(
            f'cannot resume: the schedule ended at iteration {max(ends)} with '
            f'a learning rate of 0, so {runner.iter} to {runner.max_iters} '
            f'would teach nothing; {_ANEW} with a longer schedule'
        )


def _train_vocabulary(runner: Runner) -> Vocabulary:
    return Vocabulary.from_dict(
        runner.train_dataloader.dataset.metainfo['vocabulary']
    )


def _check_names(runner: Runner, metainfo: dict) -> None:
    model_of(runner).check_vocabulary(
        Vocabulary.from_dict(metainfo['vocabulary'])
    )
