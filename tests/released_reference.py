"""The authors' inference from its formulas, by the names of their parameters.

Written for tests alone, in the plainest way: one task and one image at a
time, loops where loops are clearest. ``weights`` is a state dict as they save
it. Backbone and pixel decoder are not here: their maps are given.
"""

import numpy as np
import torch
import torch.nn.functional as F

START, END = 49406, 49407
TEMPERATURE = 100.0
PREDICTOR = 'sem_seg_head.predictor.'


def text_embeds(weights, clip, tokenizer, names, task):
    """Unit-norm text embeddings of names, (P, D)."""

    def tokens(ids):
        return clip.token_embedding(torch.tensor(ids, dtype=torch.long))

    parts = 'clip_adapter.prompt_learner.'
    embeds = []
    for name in names:
        sequence = torch.cat(
            [
                tokens(tokenizer.encode(f'{task} segmentation.')),
                weights[f'{parts}task_prompt'],
                tokens([START]),
                weights[f'{parts}prefix_prompt'],
                tokens(tokenizer.encode(name)),
                tokens(tokenizer.encode('.')),
                tokens([END]),
            ]
        )
        last = len(sequence) - 1
        sequence = F.pad(sequence, (0, 0, 0, 77 - len(sequence)))
        x = sequence + clip.positional_embedding
        x = clip.transformer(x[None], attn_mask=clip.attn_mask)[0]
        x = clip.ln_final(x)[last] @ clip.text_projection
        embeds.append(x / x.norm())
    return torch.stack(embeds)


def no_object(weights):
    """Unit-norm no-object embedding, (1, D)."""
    x = weights['clip_adapter.non_object_embedding']
    return x / x.norm()


def layer_norm(x, weights, name):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    x = (x - mean) / (variance + 1e-5).sqrt()
    return x * weights[f'{name}.weight'] + weights[f'{name}.bias']


def linear(x, weights, name):
    return x @ weights[f'{name}.weight'].T + weights[f'{name}.bias']


def mlp(x, weights, name, layers):
    for index in range(layers):
        x = linear(x, weights, f'{name}.layers.{index}')
        x = x.relu() if index < layers - 1 else x
    return x


def interaction(weights, maps, text, heads):
    """Maps, each (c, h, w), that have seen the text, (P, D)."""
    module = 'sem_seg_head.interaction.'
    keys = torch.cat([text, no_object(weights)])
    seen = []
    for x in maps:
        # the text of a map is that of the map before, normalised once more
        keys = layer_norm(keys, weights, f'{module}layer_norm_k_1')
        pixels = x.flatten(1).T
        pixels = layer_norm(pixels, weights, f'{module}layer_norm_q_1')
        query = linear(pixels, weights, f'{module}attn.q_proj')
        key = linear(keys, weights, f'{module}attn.k_proj')
        value = linear(keys, weights, f'{module}attn.v_proj')
        width = query.shape[1] // heads
        attended = []
        for start in range(0, query.shape[1], width):
            part = slice(start, start + width)
            scores = query[:, part] @ key[:, part].T / width**0.5
            attended.append(scores.softmax(-1) @ value[:, part])
        change = linear(
            torch.cat(attended, 1), weights, f'{module}attn.out_proj'
        )
        pixels = pixels + weights[f'{module}gamma'] * change
        seen.append(pixels.T.reshape(x.shape))
    return seen


def sine_positions(size, channels):
    """Positions of pixels as sines and cosines, (h * w, channels)."""
    half = channels // 2
    angles = []
    for axis, length in enumerate(size):
        places = torch.arange(1, length + 1) / (length + 1e-6) * 2 * np.pi
        places = places.view(-1, 1) if axis == 0 else places.view(1, -1)
        angles.append(places.expand(size))
    exponent = 2 * (torch.arange(half) // 2) / half
    parts = []
    for angle in angles:
        x = angle[..., None] / 10000**exponent
        parts.append(
            torch.stack([x[..., 0::2].sin(), x[..., 1::2].cos()], -1).flatten(
                -2
            )
        )
    return torch.cat(parts, -1).flatten(0, 1)


def attention(weights, name, query, key, value, heads, blocked=None):
    width = query.shape[1]
    projection = weights[f'{name}.in_proj_weight']
    bias = weights[f'{name}.in_proj_bias']
    query, key, value = (
        x @ projection[i * width : (i + 1) * width].T
        + bias[i * width : (i + 1) * width]
        for i, x in enumerate((query, key, value))
    )
    attended = []
    for start in range(0, width, width // heads):
        part = slice(start, start + width // heads)
        scores = query[:, part] @ key[:, part].T / (width // heads) ** 0.5
        if blocked is not None:
            scores = scores.masked_fill(blocked, -torch.inf)
        attended.append(scores.softmax(-1) @ value[:, part])
    return linear(torch.cat(attended, 1), weights, f'{name}.out_proj')


def decoder(weights, maps, layers, heads):
    """Normed queries (N, c) and mask logits (N, h, w) of the last layer."""
    *levels, mask_features = maps
    query = weights[f'{PREDICTOR}query_feat.weight']
    query_pos = weights[f'{PREDICTOR}query_embed.weight']
    masks = torch.empty(0)
    blocks = f'{PREDICTOR}transformer_'
    for index in range(layers + 1):
        if index > 0:
            level = (index - 1) % len(levels)
            x = levels[level]
            value = x.flatten(1).T
            value = value + weights[f'{PREDICTOR}level_embed.weight'][level]
            key = value + sine_positions(x.shape[1:], len(x))
            small = F.interpolate(masks[None], x.shape[1:], mode='bilinear')
            blocked = small[0].flatten(1).sigmoid() < 0.5
            blocked[blocked.all(1)] = False
            name = f'{blocks}cross_attention_layers.{index - 1}'
            change = attention(
                weights,
                f'{name}.multihead_attn',
                query + query_pos,
                key,
                value,
                heads,
                blocked,
            )
            query = layer_norm(query + change, weights, f'{name}.norm')
            name = f'{blocks}self_attention_layers.{index - 1}'
            own = query + query_pos
            change = attention(
                weights, f'{name}.self_attn', own, own, query, heads
            )
            query = layer_norm(query + change, weights, f'{name}.norm')
            name = f'{blocks}ffn_layers.{index - 1}'
            change = linear(query, weights, f'{name}.linear1').relu()
            change = linear(change, weights, f'{name}.linear2')
            query = layer_norm(query + change, weights, f'{name}.norm')
        normed = layer_norm(query, weights, f'{PREDICTOR}decoder_norm')
        embeds = mlp(normed, weights, f'{PREDICTOR}mask_embed', 3)
        masks = torch.einsum('nc,chw->nhw', embeds, mask_features)
    return normed, masks


def class_logits(weights, queries, text):
    """(N, C + 1), no-object last."""
    queries = mlp(queries, weights, f'{PREDICTOR}class_embed', 2)
    queries = queries / queries.norm(dim=-1, keepdim=True)
    return TEMPERATURE * queries @ torch.cat([text, no_object(weights)]).T


def resize(maps, size, aligned):
    """Bilinear values of (n, h, w) maps, (n, *size), array."""
    for axis, length in ((1, size[0]), (2, size[1])):
        old = maps.shape[axis]
        places = np.arange(length)
        if aligned:
            places = places * (old - 1) / (length - 1)
        else:
            places = ((places + 0.5) * old / length - 0.5).clip(0)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, old - 1)
        share = (places - low).reshape((-1, 1) if axis == 1 else (1, -1))
        maps = (1 - share) * maps.take(low, axis) + share * maps.take(
            high, axis
        )
    return maps


def nearest(image, size):
    rows, columns = (
        [int((place + 0.5) * old / new) for place in range(new)]
        for new, old in zip(size, image.shape, strict=True)
    )
    return image[np.ix_(rows, columns)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def crop(rgb, mask, mean, std, side):
    """What CLIP sees of a mask, (3, side, side).

    Args:
        rgb: Image in [0, 255], (3, H, W).
        mask: (H, W), bool, not empty.
        mean: CLIP's, three numbers of [0, 1].
        std: The same.
        side: Of CLIP's input.
    """
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (mean, std))
    pixels = torch.where(mask, rgb, 255 * mean)
    pixels = pixels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    pixels = (pixels / 255 - mean) / std
    return F.interpolate(
        pixels[None], (side, side), mode='bicubic', align_corners=True
    )[0]


def clip_probs(rgb, masks, text, clip, side):
    """CLIP's class probabilities of masks, (N, C), 1 of empty ones."""
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    probs = np.ones((len(masks), len(text)))
    for index, mask in enumerate(masks):
        if mask.any():
            shown = crop(
                rgb, mask, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD, side
            )
            seen = clip.encode_image(shown[None], normalize=True)[0]
            logits = clip.logit_scale.exp() * (text @ seen)
            probs[index] = softmax(logits.double().numpy())
    return probs


def ensemble(logits, clip, is_seen, weight=0.8):
    """Class scores, (N, C), of query logits (N, C + 1) and CLIP's (N, C)."""
    query = softmax(logits)[:, :-1]
    share = np.where(is_seen, weight, 1 - weight)
    return query**share * clip ** (1 - share)


def semantic_scores(probs, masks):
    return np.einsum('nc,nhw->chw', probs, sigmoid(masks))


def panoptic(probs, masks, is_thing):
    """Id of each pixel, 0 for none, and the class of each id."""
    best = semantic_scores(probs, masks).argmax(0)
    sharp = softmax(probs / 0.01)
    result = np.zeros(best.shape, int)
    classes, stuff = {}, {}
    for score, mask in zip(sharp, sigmoid(masks) >= 0.5, strict=True):
        label = int(score.argmax())
        region = mask & (best == label)
        if not region.any() or region.sum() / mask.sum() < 0.5:
            continue
        if is_thing[label] and score[label] < 0.5:
            continue
        if label in stuff:
            number = stuff[label]
        else:
            number = max(classes, default=0) + 1
            classes[number] = label
        if not is_thing[label]:
            stuff[label] = number
        result[region] = number
    return result, classes


def instances(probs, masks, is_thing):
    """Score, class and mask of each instance, best first."""
    best = semantic_scores(probs, masks).argmax(0)
    sharp = softmax(probs / 0.01)[:, :-1]
    kept = []
    for score, logits in zip(sharp, masks, strict=True):
        label = int(score.argmax())
        certain = logits >= 0.5
        inside = (certain & (best == label)).sum()
        if (
            is_thing[label]
            and score[label] > 0.5
            and certain.any()
            and inside / certain.sum() > 0.5
        ):
            kept.append((score[label], label, certain, logits))
    if kept:
        areas = [entry[2].sum() for entry in kept]
        largest = int(np.argmax(areas))
        others = [x[2] for i, x in enumerate(kept) if i != largest]
        covered = np.any(others, axis=0).sum() if others else 0
        if covered > 0.8 * areas[largest]:
            del kept[largest]
    found = [
        (
            score * sigmoid(logits)[logits > 0].mean(),
            label,
            logits > 0,
        )
        for score, label, _, logits in kept
    ]
    return sorted(found, key=lambda entry: -entry[0])
