"""Which images to show."""

from collections.abc import Collection, Sequence


def choose_images(
    labels_of_images: Sequence[Collection[int]],
    wanted: Collection[int],
    count: int,
) -> list[int]:
    """Choose few images that show as many of some classes as possible.

    Each choice is the image with the most wanted classes that were not
    shown yet, then with the most wanted ones at all, then the first. When
    all have been shown, they count as new again. Predictions play no role.

    Args:
        labels_of_images: Classes that each image shows.
        wanted: The classes of interest.
        count: Most images to choose.

    Returns:
        Indices of the chosen images in the order of choice; only images
        with a wanted class, so there may be fewer than ``count``.
    """
    shows = [set(labels) & set(wanted) for labels in labels_of_images]
    left = [index for index, labels in enumerate(shows) if labels]
    chosen: list[int] = []
    new: set[int] = set()
    while left and len(chosen) < count:
        if not any(shows[index] & new for index in left):
            new = set(wanted)
        best = max(
            left,
            key=lambda i: (len(shows[i] & new), len(shows[i]), -i),
        )
        chosen.append(best)
        left.remove(best)
        new -= shows[best]
    return chosen
