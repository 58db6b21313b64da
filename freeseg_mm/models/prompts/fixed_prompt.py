"""Hand-written prompts (Sec. 4.5, Table 7)."""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from freeseg_mm.models.clip.text_tower import TextTower, read_templates
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task

from .prompt_learner import PromptLearner, embed_ids, encode_suffixes


@MODELS.register_module()
class FixedPrompt(PromptLearner):
    """Templates for all classes, one for all tasks; nothing is learned.

    Args:
        class_template: Sentence with the place of the class name; or
            several, or the name of a set of them (``imagenet80``,
            ``vild14``, see ``TEMPLATE_SETS``): a name's embedding is then the
            mean over the sentences, brought to unit norm.
        task_template: Sentence with the place of the task name, put behind
            the class sentence; ``None`` leaves the task out, so that all
            tasks share their embeddings.

    Raises:
        ValueError: If a template has not exactly one ``{}``.
    """

    def __init__(
        self,
        *,
        class_template: str | Sequence[str] = 'A photo of {}.',
        task_template: str | None = 'for {}',
    ) -> None:
        super().__init__()
        self._templates = read_templates(class_template)
        if task_template is not None:
            read_templates([task_template])
        # one string: caches tell learners apart by plain values
        self.class_template = '\n'.join(self._templates)
        self.task_template = task_template

    def reworded(self, templates: tuple[str, ...]) -> 'FixedPrompt':
        """The same with other class sentences, in eval mode."""
        return _fixed_prompt(templates, self.task_template)

    @property
    def depends_on_task(self) -> bool:
        """True with a task sentence."""
        return self.task_template is not None

    def encode_task(
        self, text_tower: TextTower, prompts: Sequence[str], task: Task
    ) -> Tensor:
        """Encode the names for one task, (P, D), without gradient."""
        with torch.no_grad():
            start = embed_ids(text_tower, [text_tower.start_id])
            embeds = [
                encode_suffixes(
                    text_tower,
                    start,
                    [
                        self._suffix(text_tower, template, prompt, task)
                        for prompt in prompts
                    ],
                )
                for template in self._templates
            ]
            if len(embeds) == 1:
                return embeds[0]
            return F.normalize(torch.stack(embeds).mean(0), dim=-1)

    def prompt_length(
        self, text_tower: TextTower, prompt: str, task: Task
    ) -> int:
        """Tokens the longest prompt of one name takes, with start and end."""
        return 1 + max(
            len(self._suffix(text_tower, template, prompt, task))
            for template in self._templates
        )

    def _suffix(
        self, text_tower: TextTower, template: str, prompt: str, task: Task
    ) -> tuple[int, ...]:
        # not str.format: a stray brace or '{{}}' would mean something else
        text = template.replace('{}', prompt)
        if self.task_template is not None:
            text = f'{text} {self.task_template.replace("{}", task.text)}'
        return (*text_tower.token_ids(text), text_tower.end_id)


@lru_cache(maxsize=64)
def _fixed_prompt(
    templates: tuple[str, ...], task_template: str | None
) -> FixedPrompt:
    """One object for equal sentences, so that caches find their text."""
    prompt = FixedPrompt(class_template=templates, task_template=task_template)
    return prompt.eval()
