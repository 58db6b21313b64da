"""Sets of sentences about a class name, by name."""

from open_clip import OPENAI_IMAGENET_TEMPLATES

_SIZES = ('small', 'medium', 'large')

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
