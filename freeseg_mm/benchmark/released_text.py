"""Text encoding as the authors' release does it at evaluation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from freeseg_mm.models.clip import TextTower


class FullContextTower(TextTower):
    """The same tower, run on every prompt alone and over its whole context.

    What stands behind a prompt's end token has no influence (the attention
    is causal), so embeddings equal those of :class:`TextTower`; nothing is
    cut, shared between prompts, or remembered.

    Args:
        tower: The tower whose weights and tokenizer to use.
    """

    def __init__(self, tower: TextTower) -> None:
        super().__init__(tower._tower, tower._tokenizer)

    def encode(
        self, embeddings: Tensor, end: Tensor, prefix: Tensor | None = None
    ) -> Tensor:
        """Encode prompts; see :meth:`TextTower.encode`."""
        tower, end = self._tower, end.to(self.device)
        if prefix is not None:
            prefixes = prefix.expand(len(embeddings), -1, -1)
            embeddings = torch.cat([prefixes, embeddings], dim=1)
            end = end + len(prefix)
        missing = self.context_length - embeddings.shape[1]
        x = F.pad(embeddings, (0, 0, 0, missing)) + tower.positional_embedding
        for block in tower.transformer.resblocks:
            x = block(x, attn_mask=tower.attn_mask)
        x = tower.ln_final(x[torch.arange(len(x), device=x.device), end])
        projection = tower.text_projection
        if isinstance(projection, nn.Linear):
            x = projection(x)
        elif projection is not None:
            x = x @ projection
        return F.normalize(x.float(), dim=-1)
