"""Base of all ways to write prompts (Sec. 3.2)."""

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmdet.utils import ConfigType
from mmengine.model import BaseModule
from torch import Tensor

from freeseg_mm.models.clip import FrozenCLIP
from freeseg_mm.models.clip.text_tower import TextTower
from freeseg_mm.registry import MODELS
from freeseg_mm.structures import Task, Vocabulary


class PromptLearner(BaseModule, metaclass=ABCMeta):
    """Map from class names and tasks to text embeddings F_t (Eq. 6).

    Attributes:
        clip_arguments: Arguments of the constructor that :func:`build_prompts`
            fills in from CLIP: ``text_width``, the width of its token
            embeddings, and ``embed_dim``, the width D of its joint space.
    """

    clip_arguments: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def num_parts(cls, settings: Mapping[str, Any]) -> int:
        """Count the embeddings of CLIP that make up a text's: 1.

        Args:
            settings: Arguments of the constructor.
        """
        return 1

    def forward(
        self,
        text_tower: TextTower,
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
    ) -> Tensor:
        """Encode every name for every task.

        Args:
            text_tower: CLIP's frozen text tower.
            vocabulary: The names, synonyms included: P texts.
            tasks: The tasks asked for, T of them.

        Returns:
            Unit-norm text embeddings, (T, P, D) or where class and task stand
            side by side (T, P, 2 D), float32; row p belongs to
            class ``vocabulary.class_of_prompt[p]``.

        Raises:
            ValueError: If a name is too long for CLIP's context.
        """
        different = tasks if self.depends_on_task else tasks[:1]
        self.check_lengths(text_tower, vocabulary, different)
        embeds = torch.stack(
            [
                self.encode_task(text_tower, vocabulary.prompts, task)
                for task in different
            ]
        )
        return embeds.expand(len(tasks), -1, -1)

    @property
    def learns(self) -> bool:
        """True if training changes anything of it."""
        return any(value.requires_grad for value in self.parameters())

    def reworded(self, templates: tuple[str, ...]) -> 'PromptLearner':
        """A learner that reads names in other sentences, for one call.

        Args:
            templates: Sentences with one ``{}``, the place of the name.

        Raises:
            TypeError: Unless prompts are sentences alone.
        """
        raise TypeError(
            f'templates={list(templates)}: {type(self).__name__} has prompts '
            'of its own, which sentences cannot take the place of; they need '
            'a FixedPrompt, as public weights have'
        )

    @property
    def depends_on_task(self) -> bool:
        """True if a name's prompt differs from task to task.

        If not, one encoding serves all tasks.
        """
        return True

    @property
    def settings(self) -> dict[str, str | int | float | None]:
        """Settings that decide the prompts beside the parameters.

        These are all public attributes: whoever adds one need not think of
        caches, which tell learners apart by them.

        Raises:
            TypeError: If one is no plain value.
        """
        settings = {
            name: value
            for name, value in vars(self).items()
            if name not in ('training', 'init_cfg')
            and not name.startswith('_')
        }
        for name, value in settings.items():
            if not isinstance(value, str | int | float | None):
                raise TypeError(
                    f'{type(self).__name__}.{name}: expected a string, a '
                    f'number or None, got {value!r}; caches tell learners '
                    'apart by these, so keep other things in parameters, '
                    'buffers or private attributes'
                )
        return settings

    @abstractmethod
    def encode_task(
        self, text_tower: TextTower, prompts: Sequence[str], task: Task
    ) -> Tensor:
        """Encode the names for one task, (P, D)."""

    @abstractmethod
    def prompt_length(
        self, text_tower: TextTower, prompt: str, task: Task
    ) -> int:
        """Tokens the prompt of one name takes, start and end included."""

    def check_lengths(
        self,
        text_tower: TextTower,
        vocabulary: Vocabulary,
        tasks: Sequence[Task],
    ) -> None:
        """Refuse names that do not fit into CLIP's context.

        Raises:
            ValueError: If a prompt is too long; the message has the name.
        """
        limit = text_tower.context_length
        for task in tasks:
            for prompt in vocabulary.prompts:
                length = self.prompt_length(text_tower, prompt, task)
                if length > limit:
                    raise ValueError(
                        f'vocabulary {vocabulary.name!r}: the {task.value} '
                        f'prompt of {prompt!r} takes {length} tokens, CLIP '
                        f'reads {limit}; shorten the name by '
                        f'{length - limit} tokens'
                    )


def encode_suffixes(
    text_tower: TextTower,
    prefix: Tensor,
    suffixes: Sequence[tuple[int, ...]],
    vectors: Tensor | None = None,
) -> Tensor:
    """Encode prompts that share their beginning.

    Tokens that all suffixes begin with are encoded once, as the prefix is.

    Args:
        text_tower: CLIP's text tower.
        prefix: Token embeddings all prompts begin with, (L, width).
        suffixes: What follows in each prompt, P token id lists, each
            ending with the end token.
        vectors: Learned vectors among them, see :func:`embed_ids`.

    Returns:
        Unit-norm embeddings, (P, D).
    """
    shared = _num_shared(suffixes)
    own = [ids[shared:] for ids in suffixes]
    longest = max(len(ids) for ids in own)
    padded = [[*ids, *[0] * (longest - len(ids))] for ids in own]
    return text_tower.encode(
        embed_ids(text_tower, padded, vectors),
        # stays on the CPU: the tower lays out the tokens there
        torch.tensor([len(ids) - 1 for ids in own]),
        torch.cat(
            [prefix, embed_ids(text_tower, suffixes[0][:shared], vectors)]
        ),
    )


def embed_ids(
    text_tower: TextTower, ids: Sequence, vectors: Tensor | None = None
) -> Tensor:
    """Look up token embeddings of ids, nested or not, any number of them.

    Args:
        text_tower: CLIP's text tower.
        ids: Token ids; -1 - i stands for the i-th of ``vectors``.
        vectors: Learned vectors, (L, width).
    """
    numbers = torch.tensor(ids, dtype=torch.long, device=text_tower.device)
    if vectors is None:
        return text_tower.embed_tokens(numbers)
    return torch.where(
        (numbers < 0)[..., None],
        vectors[(-1 - numbers).clamp(min=0)],
        text_tower.embed_tokens(numbers.clamp(min=0)),
    )


def beside_text(image_embeds: Tensor, text_embeds: Tensor) -> Tensor:
    """Widen image embeddings to those of text that has a task part, too.

    Where class and task embedding stand side by side (Eq. 6 as written), an
    image is compared with the class embedding alone.

    Args:
        image_embeds: Unit-norm, (..., D).
        text_embeds: Unit-norm, (..., D or 2 D).

    Returns:
        Embeddings whose products with the text's are cosines with the class
        embeddings, (..., D or 2 D).
    """
    missing = text_embeds.shape[-1] - image_embeds.shape[-1]
    if missing == 0:
        return image_embeds
    return F.pad(image_embeds * 2**0.5, (0, missing))


def _num_shared(suffixes: Sequence[tuple[int, ...]]) -> int:
    """Count ids that all lists begin with, but the last of the shortest."""
    # what the first and the last in order share, those between share too
    pairs = zip(min(suffixes), max(suffixes), strict=False)
    differ = (i for i, (one, other) in enumerate(pairs) if one != other)
    return next(differ, min(map(len, suffixes)) - 1)


def build_prompts(config: ConfigType, clip: FrozenCLIP) -> PromptLearner:
    """Build a prompt learner, with the arguments it takes from CLIP.

    Args:
        config: Of the learner, without :attr:`PromptLearner.clip_arguments`.
        clip: The CLIP that will read the prompts.

    Raises:
        TypeError: If the config's type is no :class:`PromptLearner`, or asks
            for something that CLIP does not have.
    """
    learner = _learner_class(config)
    known = {'text_width': clip.text.width, 'embed_dim': clip.embed_dim}
    unknown = sorted(set(learner.clip_arguments) - set(known))
    if unknown:
        raise TypeError(
            f'{learner.__name__}.clip_arguments: {unknown} are none of '
            f'{sorted(known)}'
        )
    widths = {name: known[name] for name in learner.clip_arguments}
    return MODELS.build({**config, **widths})


def text_dim(config: ConfigType, clip: FrozenCLIP) -> int:
    """Width of the text embeddings of the learner that a config describes.

    Raises:
        TypeError: If the config's type is no :class:`PromptLearner`.
    """
    return _learner_class(config).num_parts(config) * clip.embed_dim


def _learner_class(config: ConfigType) -> type[PromptLearner]:
    kind = config['type']
    learner = MODELS.get(kind) if isinstance(kind, str) else kind
    if learner is None or not issubclass(learner, PromptLearner):
        raise TypeError(
            f'prompt learner {kind!r}: expected a PromptLearner that is '
            f'registered in freeseg_mm.registry.MODELS, got {learner}'
        )
    return learner
