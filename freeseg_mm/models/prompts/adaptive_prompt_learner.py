"""Learned task and class prompts (Sec. 3.2, Eq. 4-6)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.utils import OptMultiConfig
from torch import Tensor, nn

from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task

from .prompt_learner import PromptLearner, embed_ids, encode_suffixes

FUSIONS = ('task_first', 'start_first', 'embed', 'concat')
_APART = ('embed', 'concat')
PLACEMENTS = ('before', 'around')


@MODELS.register_module()
class AdaptivePromptLearner(PromptLearner):
    """Vectors around task and class names, learned with the network.

    With fusion ``task_first`` (as the authors released) a prompt reads
    ``[task name][task vectors][start][class vectors][class name][.][end]``
    and is encoded in one pass; ``start_first`` puts the start token in
    front of all. ``embed`` encodes task and class prompts apart (Eq. 4, 5)
    and joins the two embeddings by a learned projection (Eq. 6); it begins
    as the class embedding alone. ``concat`` leaves them side by side, as Eq.
    6 is written, so that queries and maps meet embeddings of width 2 D, and
    CLIP's view of a mask, which has D, the class embedding alone.

    With placement ``around`` half of the vectors stand on either side of a
    name, as Sec. 3.2 draws them: ``[vectors][name][vectors]``, the odd one
    in front. ``before`` is as released.

    Args:
        text_width: Width of CLIP's token embeddings.
        embed_dim: Width D of CLIP's joint space.
        num_class_tokens: Learned vectors of the class prompt; 16 in the
            paper.
        num_task_tokens: Learned vectors of the task prompt; 8 in the paper.
        use_task_prompt: Whether the prompt holds the task part at all
            (Table 4).
        fusion: How task and class are joined, one of ``task_first``,
            ``start_first``, ``embed``, ``concat``.
        placement: Where the vectors stand, ``before`` or ``around``.
        period_apart: Whether the period behind a class name is a token of
            its own, as released and as with ``around``; otherwise name and
            period are read as one text, in which a name that ends in
            punctuation gives other tokens.
        frozen: Whether training leaves all of it as it is; names are then
            read once, not in each step.
        pretrained: File of ``freeseg-mm prompts pretrain`` whose prompts are
            taken and frozen, as in the authors' release; short for
            ``init_cfg`` and ``frozen``.
        init_cfg: mmengine's ``Pretrained`` with such a file as
            ``checkpoint``, to learn its prompts further; see
            :func:`check_prompt_files`.

    Raises:
        ValueError: If ``fusion`` or ``placement`` is unknown, a count is
            negative, or both ``pretrained`` and ``init_cfg`` are given.
    """

    clip_arguments = ('text_width', 'embed_dim')

    def __init__(
        self,
        *,
        text_width: int,
        embed_dim: int,
        num_class_tokens: int = 16,
        num_task_tokens: int = 8,
        use_task_prompt: bool = True,
        fusion: str = 'task_first',
        placement: str = 'before',
        period_apart: bool = False,
        frozen: bool = False,
        pretrained: str | None = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if pretrained is not None:
            if init_cfg is not None:
                raise ValueError(
                    f'pretrained={pretrained!r} and init_cfg={init_cfg!r} '
                    'both name where the prompts come from; give one of them'
                )
            init_cfg = {'type': 'Pretrained', 'checkpoint': pretrained}
            frozen = True
        super().__init__(init_cfg=init_cfg)
        if fusion not in FUSIONS:
            raise ValueError(f'fusion {fusion!r} is none of {FUSIONS}')
        if placement not in PLACEMENTS:
            raise ValueError(
                f'placement {placement!r} is none of {PLACEMENTS}'
            )
        if min(num_class_tokens, num_task_tokens) < 0:
            raise ValueError(
                'expected counts of at least 0, got num_class_tokens='
                f'{num_class_tokens}, num_task_tokens={num_task_tokens}'
            )
        self.use_task_prompt = use_task_prompt
        self.fusion = fusion
        self.placement = placement
        self.period_apart = period_apart
        self.class_prompt = nn.Parameter(
            0.02 * torch.randn(num_class_tokens, text_width)
        )
        if use_task_prompt:
            # standard deviation of a Kaiming normal with slope 2, the
            # initialisation of the authors' release
            self.task_prompt = nn.Parameter(
                (0.4 / text_width) ** 0.5
                * torch.randn(num_task_tokens, text_width)
            )
        if use_task_prompt and fusion == 'embed':
            self.join = nn.Linear(2 * embed_dim, embed_dim, bias=False)
            with torch.no_grad():
                self.join.weight.copy_(torch.eye(embed_dim, 2 * embed_dim))
        self.requires_grad_(not frozen)

    @classmethod
    def num_parts(cls, settings: Mapping[str, Any]) -> int:
        """Count class and task embedding, where they stand side by side."""
        has_task = settings.get('use_task_prompt', True)
        return 2 if has_task and settings.get('fusion') == 'concat' else 1

    @property
    def depends_on_task(self) -> bool:
        """True with a task part."""
        return self.use_task_prompt

    def encode_task(
        self, text_tower: TextTower, prompts: Sequence[str], task: Task
    ) -> Tensor:
        """Encode the names for one task, (P, D or 2 D), with gradient."""
        suffixes = [self._suffix(text_tower, prompt) for prompt in prompts]
        prefix = self._prefix(text_tower, task)
        is_around = self.placement == 'around'
        classes = encode_suffixes(
            text_tower,
            prefix,
            suffixes,
            self.class_prompt if is_around else None,
        )
        if not (self.use_task_prompt and self.fusion in _APART):
            return classes
        start = embed_ids(text_tower, [text_tower.start_id])
        before, behind = self._placed(self.task_prompt)
        name = text_tower.token_ids(task.text)
        task_embed = encode_suffixes(
            text_tower,
            torch.cat([start, before]),
            [(*name, *behind, text_tower.end_id)],
            self.task_prompt if is_around else None,
        )
        joined = torch.cat([classes, task_embed.expand_as(classes)], dim=-1)
        if self.fusion == 'embed':
            joined = self.join(joined)
        return F.normalize(joined, dim=-1)

    def prompt_length(
        self, text_tower: TextTower, prompt: str, task: Task
    ) -> int:
        """Tokens the prompt of one name takes, start and end included."""
        length = 1 + len(self._placed(self.class_prompt)[0])
        if self.use_task_prompt and self.fusion not in _APART:
            length += len(text_tower.token_ids(task.text))
            length += len(self.task_prompt)
        return length + len(self._suffix(text_tower, prompt))

    def _prefix(self, text_tower: TextTower, task: Task) -> Tensor:
        start = embed_ids(text_tower, [text_tower.start_id])
        class_vectors, _ = self._placed(self.class_prompt)
        if not self.use_task_prompt or self.fusion in _APART:
            return torch.cat([start, class_vectors])
        name = embed_ids(text_tower, text_tower.token_ids(task.text))
        task_parts = [name, self.task_prompt]  # as released
        if self.placement == 'around':
            before, _ = self._placed(self.task_prompt)
            task_parts = [before, name, self.task_prompt[len(before) :]]
        if self.fusion == 'start_first':
            parts = [start, *task_parts, class_vectors]
        else:
            parts = [*task_parts, start, class_vectors]
        return torch.cat(parts)

    def _suffix(self, text_tower: TextTower, prompt: str) -> tuple[int, ...]:
        _, behind = self._placed(self.class_prompt)
        if not behind and not self.period_apart:
            name = text_tower.token_ids(f'{prompt}.')
        else:
            name = (
                *text_tower.token_ids(prompt),
                *behind,
                *text_tower.token_ids('.'),
            )
        return (*name, text_tower.end_id)

    def _placed(self, vectors: Tensor) -> tuple[Tensor, list[int]]:
        """Vectors in front of a name, and the places of those behind it.

        Returns:
            (L, width), and the numbers that :func:`embed_ids` reads as the
            others.
        """
        behind = len(vectors) // 2 if self.placement == 'around' else 0
        front = len(vectors) - behind
        return vectors[:front], [-1 - i for i in range(front, len(vectors))]
