"""Which printed numbers do not follow from those printed beside them."""

from collections.abc import Callable, Mapping

from freeseg_mm.evaluation.splits import harmonic_mean

_HALF_A_DIGIT = 0.05
"""The paper prints one digit behind the point."""


def contradictions(
    printed: Mapping[str, float], num_things: tuple[int, int] | None = None
) -> dict[str, float]:
    """Recompute what follows from other numbers of the same row.

    hIoU is the harmonic mean of both mIoU, mAP the mean over all classes of
    which the parts' means are known. A number contradicts if no values that
    round to what is printed beside it give one that rounds to it.

    Args:
        printed: Numbers of one row and data set by metric, percent, rounded
            to one digit.
        num_things: Number of seen and of unseen thing classes; ``None`` if
            unknown, then mAP is not checked.

    Returns:
        What should be there, percent, by the metric that contradicts.
    """
    found = {}
    rules: list[tuple[str, str, Callable[[float, float], float]]] = [
        ('semantic/hIoU', 'semantic/mIoU', harmonic_mean)
    ]
    if num_things is not None:
        seen, unseen = num_things

        def mean_of_classes(first: float, second: float) -> float:
            return (seen * first + unseen * second) / (seen + unseen)

        rules.append(('instance/mAP', 'instance/mAP', mean_of_classes))
    for metric, parts, rule in rules:
        pair = [printed.get(f'{parts}_{split}') for split in _SPLITS]
        value = printed.get(metric)
        if value is None or pair[0] is None or pair[1] is None:
            continue
        # both rules grow with either part
        low, high = (
            rule(pair[0] + shift, pair[1] + shift)
            for shift in (-_HALF_A_DIGIT, _HALF_A_DIGIT)
        )
        slack = _HALF_A_DIGIT + 1e-9
        if not low - slack <= value <= high + slack:
            found[metric] = rule(pair[0], pair[1])
    return found


_SPLITS = ('seen', 'unseen')
