"""Sizes of a model's config, made small with its structure kept."""

__all__ = ['SMALL', 'shrink']

# What sizes are made to be, wherever a model names them.
SMALL = {
    'base_channels': 8,
    'embed_dims': 32,
    'feat_channels': 32,
    'out_channels': 32,
    'hidden_channels': 32,
    'attention_channels': 32,
    'feedforward_channels': 64,
    'num_feats': 16,
    'num_heads': 4,
    'num_groups': 8,
    'num_layers': 2,
    'num_queries': 6,
    'num_points': 64,
    'num_class_tokens': 4,
    'num_task_tokens': 2,
    'size': (64, 64),
}


def shrink(node):
    """Make all sizes in a model's config small, in place."""
    for key, value in node.items():
        if isinstance(value, dict):
            shrink(value)
        elif isinstance(value, list | tuple):
            for part in value:
                if isinstance(part, dict):
                    shrink(part)
        if key in SMALL:
            node[key] = min(value, SMALL[key])
