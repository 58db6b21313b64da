"""What passes a model's two CLIP towers."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from freeseg_mm.models.clip import FrozenCLIP

TRAFFIC = ('CLIP images', 'text prompts', 'text tokens')


@contextmanager
def count_traffic(clip: FrozenCLIP) -> Iterator[Counter[str]]:
    """Count images, prompts and tokens that the towers compute.

    Tokens are those that pass the first block of the text tower: padding up
    to the length of the batch counts, what comes out of a cache does not.
    """
    counts: Counter[str] = Counter(dict.fromkeys(TRAFFIC, 0))
    visual = clip.clip.visual
    text = getattr(clip.clip, 'text', clip.clip)
    width = clip.text.width
    hooks = [
        # the entry of the tower, which one-pass classifiers use, too
        _count(_first_layer(visual), counts, 'CLIP images', len),
        _count(text.ln_final, counts, 'text prompts', len),
        _count(
            text.transformer.resblocks[0].mlp,
            counts,
            'text tokens',
            lambda x: x.numel() // width,
        ),
    ]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def _first_layer(visual: nn.Module) -> nn.Module:
    """The layer all images enter by, also where a part of them leaves early.

    It is the first convolution of open_clip's ViTs and ResNets and of timm's
    trunks.
    """
    return next(x for x in visual.modules() if isinstance(x, nn.Conv2d))


def _count(
    module: nn.Module,
    counts: Counter[str],
    what: str,
    amount: Callable[[Tensor], int],
) -> Any:
    def add(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        counts[what] += amount(args[0])

    return module.register_forward_pre_hook(add)
