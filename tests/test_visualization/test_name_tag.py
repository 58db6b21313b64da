import numpy as np

from freeseg_mm.visualization.name_tag import name_tag

GOLD = (255, 206, 64, 240)
DARK = (20, 22, 26, 190)


def test_seen_name_is_on_dark_ground():
    pixels = np.asarray(name_tag('cat', is_seen=True))
    assert tuple(pixels[pixels.shape[0] // 2, 1]) == DARK
    assert pixels[..., :3].max() == 255


def test_unseen_name_is_on_gold_ground_with_a_star():
    seen = name_tag('cat', is_seen=True)
    unseen = np.asarray(name_tag('cat', is_seen=False))
    assert tuple(unseen[unseen.shape[0] // 2, 1]) == GOLD
    # star of 11 pixels and a gap of 3
    assert unseen.shape[1] == seen.width + 14
    star = unseen[:, 3:14, :3]
    dark = star.max(axis=2) < 60
    assert 25 < dark.sum() < 70
    # a star stands upright: as wide on the left as on the right
    np.testing.assert_array_equal(dark, dark[:, ::-1])


def test_height_does_not_depend_on_letters():
    heights = {
        name_tag(text, is_seen=True).height for text in ('ace', 'Ag', 'pyjama')
    }
    assert len(heights) == 1


def test_line_breaks_make_it_taller_and_narrower():
    one = name_tag('purple square', is_seen=True)
    two = name_tag('purple\nsquare', is_seen=True)
    assert two.width < one.width
    assert 1.6 * one.height < two.height < 2.2 * one.height


def test_text_stays_inside():
    for text in ('jjj', 'WWW', 'fluffy\njumping cat 100%'):
        pixels = np.asarray(name_tag(text, is_seen=True)).astype(int)
        rim = np.concatenate(
            [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        )
        assert rim[:, :3].max() < 100
