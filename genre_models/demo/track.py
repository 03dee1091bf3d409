"""From one drawn song to 16-bit samples: mixing, room, recording.

Owns the sound of a whole track. What the recording adds (room, tone controls, hiss, crackle, bandwidth, loudness) is drawn from the same
ranges for every style, the reverberation time excepted, so that no style is known by its loudness or its brightness. Times in seconds,
frequencies in Hz, levels in dB.
"""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import fft

from genre_models.demo.instruments import SR, TIMBRES, Voice, drum_kit
from genre_models.demo.song import Song, draw_song
from genre_models.demo.styles import STYLES


def render_track(style_name: str, number: int, seed: int, seconds: float) -> np.ndarray:
    """Render one track of the demo corpus.

    Parameters
    ----------
    style_name : str
        Name of a style in `STYLES`.
    number : int
        Number of the track in its style, from 0.
    seed : int
        Seed of the corpus.
    seconds : float
        Length.

    Returns
    -------
    numpy.ndarray [shape=(round(seconds * SR),)]
        int16, mono.
    """
    style = next(style for style in STYLES if style.name == style_name)
    # A hash of the names and not a running generator: a track depends on neither the others nor the order in which they are made.
    digest = hashlib.sha256(f"genre-search demo|{seed}|{style_name}|{number}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
    song = draw_song(style, rng, seconds)
    mix = _mix(song, rng, round(seconds * SR))
    return _record(mix, song.reverb_seconds, rng)


def _mix(song: Song, rng: np.random.Generator, n: int) -> np.ndarray:
    """Play all roles and the drums; returns float32 [shape=(n,)]."""
    mix = np.zeros(n, np.float32)
    for role in song.roles.values():
        voice = Voice(TIMBRES[role.timbre], rng)
        bus = np.zeros(n, np.float32)
        for note in role.notes:
            for pitch in note.pitches:
                _add(bus, voice.note(pitch, note.seconds), note.start, note.velocity)
        _balance(bus)
        if voice.drive > 0.0:
            bus = np.tanh(bus * np.float32(voice.drive))
            _balance(bus)
        mix += bus * _gain(role.level_db)
    if song.strokes:
        kit = drum_kit(rng)
        bus = np.zeros(n, np.float32)
        for name, start, velocity in song.strokes:
            _add(bus, kit[name], start, velocity)
        _balance(bus)
        mix += bus * _gain(song.drums_level_db)
    return mix


def _gain(level_db: float) -> np.float32:
    return np.float32(10.0 ** (level_db / 20.0))


def _add(bus: np.ndarray, sound: np.ndarray, start_seconds: float, gain: float) -> None:
    """Add a sound to a bus in place, cut at both ends of the clip."""
    start = round(start_seconds * SR)
    sound = sound[max(0, -start):]
    start = max(0, start)
    stop = min(len(bus), start + len(sound))
    if stop > start:
        bus[start:stop] += sound[: stop - start] * np.float32(gain)


def _balance(bus: np.ndarray) -> None:
    """Scale a bus in place to a root mean square of 1; silence stays silence."""
    bus /= np.float32(np.sqrt(np.mean(np.square(bus), dtype=np.float64)) + 1e-6)


def _record(mix: np.ndarray, reverb_seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Put a mix into a room and onto a recording; returns int16 [shape=(n,)]."""
    n = len(mix)
    size = fft.next_fast_len(n + int(1.2 * reverb_seconds * SR), real=True)
    spectrum = fft.rfft(mix, size)
    spectrum *= _room(reverb_seconds, size, rng)
    spectrum *= _tone(size, rng)
    sound = fft.irfft(spectrum, size)[:n]
    _balance(sound)

    sound += _hiss(n, rng)
    if rng.random() < 0.3:
        sound += _crackle(n, rng)
    _balance(sound)
    # Loudness between that of a quiet old recording and of a loud master; the limiter is the loud master's.
    drive = 10.0 ** (rng.uniform(-6.0, 3.0) / 20.0) * 0.4
    sound = np.tanh(sound * np.float32(drive))
    peak = 10.0 ** (rng.uniform(-14.0, -0.3) / 20.0)
    sound *= np.float32(peak / (np.max(np.abs(sound)) + 1e-9))
    return np.round(sound * 32767.0).astype(np.int16)


def _room(reverb_seconds: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """Transfer function of direct sound and reverberation (noise that decays by 60 dB in `reverb_seconds`)."""
    n = max(64, int(1.2 * reverb_seconds * SR))
    tail = rng.standard_normal(n, dtype=np.float32) * np.exp(np.arange(n, dtype=np.float32) * np.float32(-6.9 / (reverb_seconds * SR)))
    tail[1:] += tail[:-1] * np.float32(rng.uniform(0.0, 0.9))  # walls take the treble first
    tail *= np.float32(10.0 ** (rng.uniform(-20.0, -2.0) / 20.0) / np.sqrt(np.sum(np.square(tail), dtype=np.float64)))
    tail[0] += 1.0
    return fft.rfft(tail, size)


def _tone(size: int, rng: np.random.Generator) -> np.ndarray:
    """Magnitude response of the recording: tilt, two bells, and its bandwidth."""
    frequency = np.maximum(fft.rfftfreq(size, 1.0 / SR), 10.0)
    octaves = np.log2(frequency / 700.0)
    level_db = rng.normal(0.0, 1.0) * np.clip(octaves, -5.0, 4.0)
    for _ in range(2):
        level_db = level_db + rng.normal(0.0, 2.5) * np.exp(-0.5 * ((octaves - rng.uniform(-3.5, 3.5)) / rng.uniform(0.4, 1.2)) ** 2)
    high = np.exp(rng.uniform(np.log(3500.0), np.log(14000.0)))
    low = np.exp(rng.uniform(np.log(25.0), np.log(120.0)))
    level_db = level_db - 10.0 * np.log10(1.0 + (frequency / high) ** 6) - 10.0 * np.log10(1.0 + (low / frequency) ** 4)
    return (10.0 ** (level_db / 20.0)).astype(np.float32)


def _hiss(n: int, rng: np.random.Generator) -> np.ndarray:
    """Coloured noise between 25 and 60 dB below the music."""
    noise = rng.standard_normal(n, dtype=np.float32)
    colour = np.float32(rng.uniform(-0.5, 0.95))
    noise[1:] += colour * noise[:-1]
    return noise * _gain(-rng.uniform(25.0, 60.0))


def _crackle(n: int, rng: np.random.Generator) -> np.ndarray:
    """Clicks of an old record, 3 to 40 a second."""
    clicks = np.zeros(n, np.float32)
    count = int(rng.uniform(3.0, 40.0) * n / SR)
    clicks[rng.integers(0, n, count)] = rng.standard_normal(count) * rng.exponential(1.5, count)
    clicks[1:] -= np.float32(0.6) * clicks[:-1]
    return clicks
