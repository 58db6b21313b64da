from types import SimpleNamespace

import numpy as np
import pytest

from freeseg_mm.engine.docs_pictures import as_seen, docs_pictures
from freeseg_mm.structures import Vocabulary


def test_data_without_unseen_classes_are_refused():
    record = {'segments': [{'label': 0}]}

    class Seen:
        vocabulary = Vocabulary.from_names(['cat'], unseen=())
        get_data_info = staticmethod(lambda index: record)
        __len__ = staticmethod(lambda: 2)

    with pytest.raises(ValueError, match='no test image shows an unseen'):
        next(docs_pictures(SimpleNamespace(), Seen(), Seen()))


def test_three_visions_stand_side_by_side():
    picture = np.full((4, 5, 3), [255, 0, 0], np.uint8)
    seen = as_seen(picture)
    assert seen.shape == (4, 3 * 5 + 2 * 6, 3)
    np.testing.assert_array_equal(seen[:, :5], picture)
    assert (seen[:, 5:11] == 0).all()
    # red, to who lacks green cones, then red ones: 0.367 and 0.280 of it,
    # 0.152 and 0.115 as linear light, on the curve of sRGB
    np.testing.assert_allclose(seen[0, 11], [163, 144, 0], atol=1)
    np.testing.assert_allclose(seen[0, 22], [109, 95, 0], atol=1)
