"""Mel cepstra: the shape of a sound's spectrum over time, as a few numbers a frame."""

import numpy as np


def cepstra(sound, rate, num=13, num_filters=26, seconds=0.025, every=0.01, emphasis=0.97):
    """Mel-frequency cepstral coefficients.

    Of each frame, windowed by Hamming's, the powers of the spectrum are summed under triangles evenly spaced
    in mel = 2595 log10(1 + Hz / 700); a cosine transform of their logarithms gives the coefficients.

    Args:
      sound: `[T]`, in [-1, 1].
      rate: Samples a second.
      num: Number of coefficients.
      num_filters: Number of triangles, from 0 Hz to half the rate.
      seconds: Length of a frame.
      every: Seconds from a frame to the next.
      emphasis: a of x_t - a x_(t-1), which lifts high frequencies.

    Returns:
      float64 `[frames, num]`; of a sound shorter than a frame one frame.

    References:
      Davis & Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
      continuously spoken sentences", 1980. The scale is O'Shaughnessy's, 1987.
    """
    from scipy.fft import dct

    sound = np.asarray(sound, np.float64)
    sound = np.append(sound[:1], sound[1:] - emphasis * sound[:-1])
    size, step = round(seconds * rate), round(every * rate)
    sound = np.pad(sound, (0, max(0, size - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[::step]
    points = 1 << (size - 1).bit_length()
    power = np.abs(np.fft.rfft(frames * np.hamming(size), points, axis=1)) ** 2 / points
    energy = power @ mel_filters(num_filters, points, rate)
    # Far below the noise of a recording of 16 bits.
    return dct(np.log(energy + 1e-10), norm="ortho", axis=1)[:, :num]


def mel_filters(num, points, rate):
    """Triangles over the frequencies of a Fourier transform, `[points // 2 + 1, num]`.

    Args:
      num: Number of triangles; each begins where the one before has its peak.
      points: Length of the transform.
      rate: Samples a second.
    """
    highest = 2595.0 * np.log10(1.0 + 0.5 * rate / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, highest, num + 2) / 2595.0) - 1.0)
    frequency = np.fft.rfftfreq(points, 1.0 / rate)[:, None]
    rising = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


def with_differences(frames, reach=2):
    """Frames beside their first and second slopes over time, `[T, 3 D]`.

    A slope is the least-squares one, sum_k k (x_(t+k) - x_(t-k)) / (2 sum_k k^2), k from 1 to `reach`; beyond
    its ends a sequence stands still.

    Args:
      frames: `[T, D]`.
      reach: How many frames before and after count.

    References:
      Furui, "Speaker-independent isolated word recognition using dynamic features of speech spectrum", 1986.
    """

    def slope(x):
        padded, k = np.pad(x, ((reach, reach), (0, 0)), mode="edge"), np.arange(1, reach + 1)
        steps = [
            j * (padded[reach + j : len(x) + reach + j] - padded[reach - j : len(x) + reach - j]) for j in k
        ]
        return np.sum(steps, axis=0) / (2.0 * np.square(k).sum())

    first = slope(np.asarray(frames, np.float64))
    return np.concatenate([frames, first, slope(first)], axis=1)
