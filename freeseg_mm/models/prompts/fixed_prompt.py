"""Hand-written prompts (Sec. 4.5, Table 7)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task

from .prompt_learner import PromptLearner, embed_ids, encode_suffixes


@MODELS.register_module()
class FixedPrompt(PromptLearner):
    """One template for all classes, one for all tasks; nothing is learned.

    Args:
        class_template: Sentence with the place of the class name.
        task_template: Sentence with the place of the task name, put behind
            the class sentence; ``None`` leaves the task out, so that all
            tasks share their embeddings.

    Raises:
        ValueError: If a template has not exactly one ``{}``.
    """

    def __init__(
        self,
        *,
        class_template: str = 'A photo of {}.',
        task_template: str | None = 'for {}',
    ) -> None:
        super().__init__()
        for template in (class_template, task_template):
            if template is not None and template.count('{}') != 1:
                raise ValueError(
                    f'expected a template with one {{}}, got {template!r}'
                )
        self.class_template = class_template
        self.task_template = task_template

    @property
    def depends_on_task(self) -> bool:
        """True with a task sentence."""
        return self.task_template is not None

    def encode_task(
        self, text_tower: TextTower, prompts: Sequence[str], task: Task
    ) -> Tensor:
        """Encode the names for one task, (P, D), without gradient."""
        with torch.no_grad():
            return encode_suffixes(
                text_tower,
                embed_ids(text_tower, [text_tower.start_id]),
                [self._suffix(text_tower, prompt, task) for prompt in prompts],
            )

    def prompt_length(
        self, text_tower: TextTower, prompt: str, task: Task
    ) -> int:
        """Tokens the prompt of one name takes, start and end included."""
        return 1 + len(self._suffix(text_tower, prompt, task))

    def _suffix(
        self, text_tower: TextTower, prompt: str, task: Task
    ) -> tuple[int, ...]:
        # not str.format: a stray brace or '{{}}' would mean something else
        text = self.class_template.replace('{}', prompt)
        if self.task_template is not None:
            text = f'{text} {self.task_template.replace("{}", task.text)}'
        return (*text_tower.token_ids(text), text_tower.end_id)
