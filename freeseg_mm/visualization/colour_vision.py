"""Colours as they look with and without colour blindness."""

import numpy as np

# Deuteranopia and protanopia, which one man in fifty has, as Machado,
# Oliveira and Fernandes simulate them (2009, severity 1): from linear RGB to
# linear RGB.
VISIONS = {
    'normal': np.eye(3),
    'deuteranopia': np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    'protanopia': np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_XYZ_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)
_RGB_TO_XYZ = np.linalg.inv(_XYZ_TO_RGB)
_STEP = 6 / 29  # where CIELAB's cube root begins


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """Convert CIELAB (D65) to sRGB.

    Args:
        lab: Lightness in [0, 100] and the two opponent axes, (..., 3).

    Returns:
        sRGB, (..., 3), in [0, 1] for colours a screen can show.
    """
    lightness, a, b = np.moveaxis(np.asarray(lab, np.float64), -1, 0)
    y = (lightness + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = _WHITE * np.where(f > _STEP, f**3, (f - 4 / 29) * 3 * _STEP**2)
    return _encode(xyz @ _XYZ_TO_RGB.T)


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Inverse of :func:`lab_to_rgb`."""
    xyz = _decode(rgb) @ _RGB_TO_XYZ.T / _WHITE
    f = np.where(xyz > _STEP**3, np.cbrt(xyz), xyz / (3 * _STEP**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def simulate(rgb: np.ndarray, vision: str) -> np.ndarray:
    """What someone sees of colours.

    Args:
        rgb: sRGB, (..., 3), in [0, 1].
        vision: Of :data:`VISIONS`.

    Returns:
        sRGB, (..., 3), in [0, 1], that looks to all as ``rgb`` to them.
    """
    return _encode((_decode(rgb) @ VISIONS[vision].T).clip(0, 1))


def least_differences(rgb: np.ndarray) -> np.ndarray:
    """How far apart colours are for who sees them least apart.

    Args:
        rgb: sRGB, (n, 3), in [0, 1].

    Returns:
        Distances in CIELAB, the least of :data:`VISIONS`, (n, n). About 2
        can just be told apart.
    """
    lab = np.stack([rgb_to_lab(simulate(rgb, name)) for name in VISIONS])
    return np.linalg.norm(lab[:, :, None] - lab[:, None], axis=-1).min(axis=0)


def _decode(rgb: np.ndarray) -> np.ndarray:
    """From sRGB to linear light."""
    rgb = np.asarray(rgb, np.float64)
    curved = ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4
    return np.where(rgb > 0.04045, curved, rgb / 12.92)


def _encode(linear: np.ndarray) -> np.ndarray:
    """From linear light to sRGB."""
    curved = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.where(linear > 0.0031308, curved, 12.92 * linear)
