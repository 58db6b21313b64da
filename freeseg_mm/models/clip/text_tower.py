"""The text half of an open_clip model, entered with embeddings."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from open_clip import OPENAI_IMAGENET_TEMPLATES
from torch import Tensor, nn

from .shared_prefix import PackedPrompts, can_share, run_blocks

_SIZES = ('small', 'medium', 'large')
_KEPT_WORDS = 65536

TEMPLATE_SETS: dict[str, tuple[str, ...]] = {
    # of CLIP's authors, for ImageNet
    'imagenet80': tuple(write('{}') for write in OPENAI_IMAGENET_TEMPLATES),
    # of ViLD (Gu et al., ICLR 2022), as FC-CLIP writes them
    'vild14': (
        'a photo of a {}.',
        'This is a photo of a {}',
        'There is a {} in the scene',
        'There is the {} in the scene',
        'a photo of a {} in the scene',
        *(f'a photo of a {size} {{}}.' for size in _SIZES),
        *(f'This is a photo of a {size} {{}}.' for size in _SIZES),
        *(f'There is a {size} {{}} in the scene.' for size in _SIZES),
    ),
}
"""Sentences with one ``{}``, the place of the name."""


def read_templates(templates: Any) -> tuple[str, ...]:
    """Sentences that are given as such, or by the name of their set.

    Args:
        templates: A name of :data:`TEMPLATE_SETS`, a sentence, or several,
            each with one ``{}``.

    Raises:
        TypeError: If they are no strings.
        ValueError: If there is none, or one has not exactly one ``{}``.
    """
    if isinstance(templates, str):
        templates = TEMPLATE_SETS.get(templates, (templates,))
    if not isinstance(templates, Iterable):
        raise TypeError(
            f'templates: expected a list of sentences, got {templates!r}'
        )
    sentences = tuple(templates)
    if not sentences:
        raise ValueError('templates: expected at least one, got none')
    for sentence in sentences:
        if not isinstance(sentence, str):
            raise TypeError(
                f'templates: expected strings, got {sentence!r} among them'
            )
        if sentence.count('{}') != 1:
            raise ValueError(
                f'expected a template with one {{}}, got {sentence!r} '
                f'(sets of class templates are {list(TEMPLATE_SETS)})'
            )
    return sentences


class TextTower:
    """Run CLIP's text transformer on prompts made of vectors and words.

    Not a module of its own: it looks into the open_clip model that
    :class:`FrozenCLIP` holds. Gradients pass through the frozen weights to
    the vectors.

    Args:
        clip: The open_clip model.
        tokenizer: Its tokenizer.

    Raises:
        TypeError: If the text tower is not a causal transformer read at its
            end-of-text token with CLIP's own tokenizer: learned vectors
            have no defined place in others.
    """

    def __init__(self, clip: Any, tokenizer: Any) -> None:
        tower = getattr(clip, 'text', clip)
        pooling = getattr(
            tower, 'text_pool_type', getattr(tower, 'pool_type', None)
        )
        if (
            getattr(tower, 'attn_mask', None) is None
            or getattr(tower, 'cls_emb', None) is not None
            or pooling not in ('argmax', 'eos')
            or not hasattr(tokenizer, 'eot_token_id')
        ):
            raise TypeError(
                f'{type(tower).__name__} (pooling {pooling!r}) with '
                f'{type(tokenizer).__name__}: prompts need a causal text '
                "tower that is read at its end token, with CLIP's tokenizer, "
                'such as ViT-B-16'
            )
        self._tower = tower
        self._tokenizer = tokenizer
        self._architecture = _architecture(tower, tokenizer)
        self._encode_words = lru_cache(_KEPT_WORDS)(self._encode_uncached)

    @property
    def width(self) -> int:
        """Width of a token embedding."""
        return self._tower.token_embedding.weight.shape[1]

    @property
    def embed_dim(self) -> int:
        """Width D of the joint space."""
        projection = self._tower.text_projection
        if projection is None:
            return self.width
        if isinstance(projection, nn.Linear):
            return projection.out_features
        return projection.shape[1]

    @property
    def context_length(self) -> int:
        """Most tokens a prompt may have."""
        return self._tower.positional_embedding.shape[0]

    @property
    def start_id(self) -> int:
        """Id of the start-of-text token."""
        return self._tokenizer.sot_token_id

    @property
    def end_id(self) -> int:
        """Id of the end-of-text token."""
        return self._tokenizer.eot_token_id

    def token_ids(self, text: str) -> tuple[int, ...]:
        """Ids of a text, without start and end token."""
        return self._encode_words(text)

    def _encode_uncached(self, text: str) -> tuple[int, ...]:
        ids = tuple(self._tokenizer.encode(text))
        # open_clip's tokenizer keeps every word it has seen
        seen = getattr(self._tokenizer, 'cache', {})
        while len(seen) > _KEPT_WORDS:
            seen.popitem()
        return ids

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Look up token embeddings, (..., L) to (..., L, width)."""
        return self._tower.token_embedding(ids)

    @property
    def device(self) -> torch.device:
        """Device of the tower."""
        return self._tower.positional_embedding.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the tower's weights."""
        return self._tower.positional_embedding.dtype

    @property
    def architecture(self) -> str:
        """Digest of what the weights do not tell: activations, heads ...

        Towers with equal weights and equal architecture read alike.
        """
        return self._architecture

    def encode(
        self, embeddings: Tensor, end: Tensor, prefix: Tensor | None = None
    ) -> Tensor:
        """Encode prompts given as token embeddings (Eq. 4-5, Psi).

        The attention is causal and the feature is read at the end token. So
        whatever stands behind it has no influence, a batch need only be as
        long as its longest prompt, and what all prompts begin with need
        only pass once: with a ``prefix`` L + sum(end + 1) tokens pass the
        transformer instead of P x (L + S), with the same result. Blocks
        that :func:`can_share` does not know get the whole prompts.

        Args:
            embeddings: Token embeddings without positions, (P, S, width).
            end: Position of each prompt's end token among the S, (P,),
                int64. With a prefix it is read on the CPU.
            prefix: Token embeddings that stand before all of them, (L,
                width); L + S is at most :attr:`context_length`.

        Returns:
            Unit-norm text embeddings, (P, D), float32.
        """
        tower = self._tower
        if prefix is None:
            length = embeddings.shape[1]
            x = embeddings + tower.positional_embedding[:length]
            mask = tower.attn_mask[:length, :length]
            x = tower.transformer(x, attn_mask=mask)
            return self._project(
                x[torch.arange(len(x), device=x.device), end.to(x.device)]
            )
        if not can_share(tower.transformer):
            whole = [prefix.expand(len(embeddings), -1, -1), embeddings]
            return self.encode(torch.cat(whole, dim=1), end + len(prefix))
        prompts = PackedPrompts.layout(
            [last + 1 for last in end.tolist()],
            embeddings.shape[1],
            len(prefix),
            self.device,
        )
        own = embeddings.flatten(0, 1).index_select(0, prompts.slots)
        x = torch.cat([prefix, own])
        x = x + tower.positional_embedding[prompts.positions]
        x = run_blocks(tower.transformer, x, prompts)
        return self._project(x[prompts.ends])

    def _project(self, x: Tensor) -> Tensor:
        """Hidden states at the end tokens to unit-norm embeddings."""
        x = self._tower.ln_final(x)
        projection = self._tower.text_projection
        if isinstance(projection, nn.Linear):
            x = projection(x)
        elif projection is not None:
            x = x @ projection
        return F.normalize(x.float(), dim=-1)


def _architecture(tower: Any, tokenizer: Any) -> str:
    heads = [
        getattr(block.attn, 'num_heads', None)
        for block in tower.transformer.resblocks
    ]
    clean = getattr(tokenizer, 'clean_fn', None)
    parts = (
        repr(tower.transformer),
        repr(tower.ln_final),
        heads,
        type(tokenizer).__qualname__,
        getattr(clean, '__qualname__', None),
    )
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
