"""The instruments of the demo corpus: pitched timbres from wavetables, and drums from sines and noise.

Owns the sound of one note and one drum stroke; imports NumPy and SciPy only. Sounds are float32 mono at `SR`, times are in seconds,
pitches are MIDI note numbers (69 = A4 = 440 Hz; 12 to the octave).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

SR = 22050
"""Sampling rate in Hz."""

_TABLE = 2048
"""Samples in one cycle of a wavetable: below the 16-bit noise floor of the corpus without interpolation for the pitches used."""

_LONGEST_SECONDS = 8.0
"""Longest note; a longer drone is cut here."""


@dataclass(frozen=True)
class Timbre:
    """A pitched sound before the draw of a track varies it.

    Parameters
    ----------
    rolloff : float
        Amplitude of harmonic h falls as h ** -rolloff.
    odd : float
        Amplitude of the even harmonics beside the odd ones: 1 as a saw, 0 as a square or a clarinet.
    attack, decay, release : float
        Seconds; `decay` is the time constant towards `sustain`.
    sustain : float
        Level held after the decay, from 0 to 1.
    bite : float
        How much brighter the start of a note is than its end, from 0 to 1.
    detune : float
        Distance between two voices, in cents (hundredths of a semitone); 0 gives one voice.
    vibrato : float
        Depth in cents.
    breath : float
        Noise added, relative to the tone.
    drive : float
        Distortion of the whole part (gain before tanh); 0 is clean.
    """

    rolloff: float
    odd: float = 1.0
    attack: float = 0.005
    decay: float = 0.4
    sustain: float = 0.0
    release: float = 0.06
    bite: float = 0.5
    detune: float = 0.0
    vibrato: float = 0.0
    breath: float = 0.0
    drive: float = 0.0


TIMBRES: dict[str, Timbre] = {
    "accordion": Timbre(0.9, attack=0.03, decay=1.0, sustain=0.9, bite=0.0, detune=24),
    "bell": Timbre(1.6, odd=0.2, decay=0.7, release=0.3, bite=0.9),
    "brass": Timbre(1.1, attack=0.035, decay=0.3, sustain=0.75, bite=0.3, vibrato=6),
    "choir": Timbre(1.5, attack=0.15, decay=1.0, sustain=0.8, release=0.3, detune=16, vibrato=14, breath=0.05),
    "flute": Timbre(2.4, attack=0.05, decay=0.5, sustain=0.8, vibrato=14, breath=0.06),
    "organ": Timbre(1.5, odd=0.7, attack=0.012, decay=1.0, sustain=0.9, bite=0.1, detune=4),
    "overdrive": Timbre(1.2, attack=0.004, decay=1.2, sustain=0.4, bite=0.4, drive=4.0),
    "piano": Timbre(1.5, decay=0.6, release=0.12, bite=0.8, detune=2),
    "pluck": Timbre(1.2, decay=0.35, release=0.08, bite=0.9),
    "pulse": Timbre(0.9, odd=0.9, attack=0.002, decay=0.6, sustain=0.6, release=0.01, bite=0.0),
    "reed": Timbre(1.2, odd=0.35, attack=0.025, decay=0.4, sustain=0.8, bite=0.2, detune=9, vibrato=5),
    "saw": Timbre(1.0, attack=0.004, decay=0.4, sustain=0.5, release=0.04, bite=0.7, detune=12),
    "sine": Timbre(3.2, attack=0.008, decay=0.8, sustain=0.6, bite=0.3),
    "square": Timbre(1.0, odd=0.0, attack=0.002, decay=0.5, sustain=0.6, release=0.01, bite=0.0),
    "strings": Timbre(1.2, attack=0.12, decay=1.0, sustain=0.85, release=0.2, bite=0.1, detune=14, vibrato=8),
    "triangle": Timbre(2.0, odd=0.0, attack=0.002, decay=0.6, sustain=0.7, release=0.01, bite=0.0),
}


class Voice:
    """One timbre as one track plays it, with its own colour and envelope.

    Notes are kept: music repeats, and so most notes of a track are rendered once.

    Parameters
    ----------
    timbre : Timbre
        What to vary.
    rng : numpy.random.Generator
        The track's source of random numbers.
    """

    def __init__(self, timbre: Timbre, rng: np.random.Generator) -> None:
        spread = rng.normal(0.0, [0.12, 0.3, 0.3, 0.3])
        self._rolloff = max(0.7, timbre.rolloff + spread[0])
        self._odd = float(np.clip(timbre.odd + rng.normal(0.0, 0.12), 0.0, 1.0))
        self._release = timbre.release * np.exp(spread[3])
        self._detune = timbre.detune * rng.uniform(0.5, 1.6)
        self._phases = rng.uniform(0.0, 1.0, 8)
        self._jitter = np.exp(rng.normal(0.0, 0.22, 64))
        self._bite = float(np.clip(timbre.bite + rng.normal(0.0, 0.15), 0.0, 1.0))
        self.drive = timbre.drive * rng.uniform(0.6, 1.8)

        time = np.arange(int(_LONGEST_SECONDS * SR)) / SR
        attack, decay = timbre.attack * np.exp(spread[1]), timbre.decay * np.exp(spread[2])
        sustain = float(np.clip(timbre.sustain * rng.uniform(0.8, 1.2), 0.0, 1.0))
        fall = np.exp(-time / decay)
        rise = np.minimum(1.0, time / attack)
        self._envelope = (rise * (sustain + (1.0 - sustain) * fall)).astype(np.float32)
        self._bright = (rise * np.exp(-time / (0.35 * decay))).astype(np.float32)
        vibrato_hz = rng.uniform(4.0, 7.0)
        # Integral of the frequency deviation; a cent is a frequency ratio of 2 ** (1 / 1200).
        depth = timbre.vibrato * rng.uniform(0.3, 1.5) * np.log(2.0) / 1200.0
        self._clock = time + depth * (1.0 - np.cos(2.0 * np.pi * vibrato_hz * time)) / (2.0 * np.pi * vibrato_hz)
        self._breath = None
        if timbre.breath:
            noise = lfilter([1.0, -0.7], [1.0, -0.4], rng.standard_normal(len(time)))
            self._breath = (timbre.breath * rng.uniform(0.3, 2.0) * noise).astype(np.float32)
        self._notes: dict[tuple[int, int], np.ndarray] = {}
        self._tables: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def note(self, pitch: int, seconds: float) -> np.ndarray:
        """Render a note.

        Parameters
        ----------
        pitch : int
            MIDI note number.
        seconds : float
            Time until the release begins.

        Returns
        -------
        numpy.ndarray [shape=(n,)]
            float32, read-only by agreement: it is shared with later calls.
        """
        # A hundredth of a second is inaudible and lets notes of nearly the same length share one rendering.
        key = (pitch, max(2, round(seconds * 100)))
        if key not in self._notes:
            self._notes[key] = self._render(pitch, key[1] / 100.0)
        return self._notes[key]

    def _render(self, pitch: int, seconds: float) -> np.ndarray:
        release = max(8, int(self._release * SR))
        n = min(int(seconds * SR) + release, len(self._clock))
        release = min(release, n)
        frequency = 440.0 * 2.0 ** ((pitch - 69) / 12.0)
        dull, bright = self._table(pitch, frequency)
        voices = (1.0,) if self._detune < 1.0 else (2.0 ** (-self._detune / 2400.0), 2.0 ** (self._detune / 2400.0))
        sound = np.zeros(n, np.float32)
        for ratio, phase in zip(voices, self._phases):
            index = ((self._clock[:n] * (frequency * ratio) + phase) * _TABLE).astype(np.int64) & (_TABLE - 1)
            sound += dull[index] * self._envelope[:n]
            if self._bite > 0.0:
                sound += bright[index] * (self._bite * self._bright[:n])
        if self._breath is not None:
            sound += self._breath[:n] * self._envelope[:n]
        sound[n - release:] *= np.linspace(1.0, 0.0, release, dtype=np.float32)
        return sound / np.float32(len(voices))

    def _table(self, pitch: int, frequency: float) -> tuple[np.ndarray, np.ndarray]:
        """Make one cycle of the settled sound and of what the attack adds, both free of aliasing."""
        octave = pitch // 6  # half an octave shares a table: it has the harmonics that fit under the highest of its pitches
        if octave not in self._tables:
            highest = 440.0 * 2.0 ** ((octave * 6 + 6 - 69) / 12.0)
            harmonics = np.arange(1, 1 + max(1, min(len(self._jitter), int(0.47 * SR / highest))))
            level = harmonics ** -self._rolloff * self._jitter[: len(harmonics)] * np.where(harmonics % 2, 1.0, self._odd)
            level /= np.sqrt(np.sum(level**2))
            tables = []
            for colour in (harmonics ** (-0.8 * self._bite), 1.0 - harmonics ** (-0.8 * self._bite)):
                spectrum = np.zeros(_TABLE // 2 + 1, complex)
                spectrum[harmonics] = level * colour * np.exp(1j * harmonics**2)  # quadratic phases keep the peak low
                tables.append((np.fft.irfft(spectrum) * _TABLE / 2).astype(np.float32))
            self._tables[octave] = (tables[0], tables[1])
        return self._tables[octave]


def drum_kit(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the drums of one track.

    Tuning, decay and colour vary from kit to kit far more than between styles: the pattern tells the style, not the drum.

    Parameters
    ----------
    rng : numpy.random.Generator
        The track's source of random numbers.

    Returns
    -------
    dict of str to numpy.ndarray
        One stroke for each drum voice, float32, peak near 1.
    """
    low = rng.uniform(42.0, 85.0)
    sweep = rng.uniform(0.5, 4.0)
    body = rng.uniform(150.0, 260.0)
    kit = {
        "kick": _stroke(rng, rng.uniform(0.06, 0.28), low, sweep, noise=rng.uniform(0.0, 0.25), cut=0.6),
        "snare": _stroke(rng, rng.uniform(0.05, 0.16), body, 0.4, noise=rng.uniform(1.0, 4.0), cut=rng.uniform(-0.6, 0.3)),
        "rim": _stroke(rng, rng.uniform(0.015, 0.05), rng.uniform(400.0, 1200.0), 0.2, noise=rng.uniform(0.3, 1.5), cut=-0.5),
        "hat": _stroke(rng, rng.uniform(0.015, 0.09), rng.uniform(3000.0, 6500.0), 0.0, noise=rng.uniform(2.0, 8.0), cut=-0.9, metal=4.0),
        "ride": _stroke(rng, rng.uniform(0.1, 0.4), rng.uniform(2500.0, 5500.0), 0.0, noise=rng.uniform(1.0, 4.0), cut=-0.85, metal=5.0),
    }
    return kit


def _stroke(
    rng: np.random.Generator, decay: float, frequency: float, sweep: float, noise: float, cut: float, metal: float = 0.0
) -> np.ndarray:
    """One drum stroke: a sine whose pitch falls, and noise, both decaying over `decay` seconds.

    `cut` is the coefficient of a one-pole filter on the noise: positive darkens it, negative brightens it. `metal` is
    the depth, in radians, of a phase modulation at an inharmonic ratio, which makes a cymbal of the sine.
    """
    n = int(min(5.0 * decay, 1.2) * SR)
    time = np.arange(n) / SR
    phase = frequency * (time + sweep * 0.03 * (1.0 - np.exp(-time / 0.03)))
    colour = lfilter([1.0 - abs(cut)], [1.0, -cut], rng.standard_normal(n)) * (1.0 if cut > 0 else 2.0)
    tone = np.sin(2.0 * np.pi * phase + metal * np.sin(2.0 * np.pi * 1.47 * phase))
    sound = tone * np.exp(-time / decay) + noise * colour * np.exp(-time / (0.7 * decay))
    sound *= np.minimum(1.0, time / 0.001)
    return (sound / (np.max(np.abs(sound)) + 1e-9)).astype(np.float32)
