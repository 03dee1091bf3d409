"""From a style to the notes and strokes of one track.

Owns every musical choice that varies inside a style; makes no sound. Imports NumPy only. Positions are in beats, durations in seconds,
pitches are MIDI note numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genre_models.demo.styles import CHORDS, SCALES, STYLES, Part, Style

CROSSOVER = 0.03
"""Probability that a role takes its pattern, and apart from that its timbre, from any style: genres overlap, and so no classifier can
count on reaching 1.0."""

ROLES = ("bass", "comp", "lead")
"""Pitched roles, in the order in which they are drawn."""

_PATTERN_LOYALTY = 0.5
_TIMBRE_LOYALTY = 0.3
"""Each alternative of a style is drawn this many times as often as the one before it: the first is what the style is known for."""

_VELOCITY = {"X": 1.0, "x": 0.7, "o": 0.4, "?": 0.4}
_MELODY_STEPS = np.array([-3, -2, -1, -1, 0, 1, 1, 2, 3])


@dataclass(frozen=True)
class Note:
    """Pitches struck together: `start` and `seconds` in seconds of the clip (`start` may be negative), `velocity` a gain."""

    start: float
    seconds: float
    pitches: tuple[int, ...]
    velocity: float


@dataclass(frozen=True)
class Role:
    """A pitched role of one track: the name of its timbre, its level in dB, its notes."""

    timbre: str
    level_db: float
    notes: list[Note]


@dataclass(frozen=True)
class Song:
    """One track before it sounds: roles by name, and drum strokes as (voice, start in seconds, velocity)."""

    tempo_bpm: float
    roles: dict[str, Role]
    strokes: list[tuple[str, float, float]]
    drums_level_db: float
    reverb_seconds: float


class _Clock:
    """Where beats fall in a clip: tempo, the beat at which the clip begins, feel and looseness."""

    def __init__(self, style: Style, rng: np.random.Generator, seconds: float) -> None:
        low, high = style.tempo_bpm
        self.tempo_bpm = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        if rng.random() < 1 / 6:
            self.tempo_bpm *= float(rng.uniform(1.0, 7 / 6) if rng.random() < 0.5 else rng.uniform(6 / 7, 1.0))
        self.beat_seconds = 60.0 / self.tempo_bpm
        self.bar_beats = style.beats
        # Excerpts begin anywhere, as those of real collections do: the first frame is no down-beat.
        self.first_beat = float(rng.uniform(0.0, 4.0 * style.beats))
        self.last_beat = self.first_beat + seconds / self.beat_seconds
        self._lilt = float(rng.uniform(0.0, 0.25)) if rng.random() < 0.4 else 0.0
        self._long = float(rng.uniform(0.58, 0.70))
        self._loose_seconds = float(rng.uniform(0.0, 0.014))
        self._rng = rng

    def steps(self, pattern: str) -> Iterator[tuple[float, str]]:
        """Yield (beat, symbol) of a repeating pattern from beat 0 to the end of the clip; rests too."""
        groups = pattern.split()
        cycle = 0
        while cycle < self.last_beat:
            for beat, group in enumerate(groups):
                for step, symbol in enumerate(group):
                    yield cycle + beat + self._within(step, len(group)), symbol
            cycle += len(groups)

    def _within(self, step: int, steps: int) -> float:
        if steps == 3:  # a shuffled pair is long-short: about 2 : 1, and never exactly
            return (0.0, self._long / 2.0, self._long)[step]
        late = self._lilt if steps == 4 and step % 2 else 0.0
        return (step + late) / steps

    def seconds(self, beat: float) -> float:
        """Return the time of a beat in the clip, in seconds, with the looseness of a player."""
        return (beat - self.first_beat) * self.beat_seconds + float(self._rng.normal(0.0, 1.0)) * self._loose_seconds


def draw_song(style: Style, rng: np.random.Generator, seconds: float) -> Song:
    """Draw one track of a style.

    Parameters
    ----------
    style : Style
        The class.
    rng : numpy.random.Generator
        The track's source of random numbers.
    seconds : float
        Length of the clip.

    Returns
    -------
    Song
        At least one pitched role, notes from before the clip's start where they still ring in it.
    """
    clock = _Clock(style, rng, seconds)
    key = int(rng.integers(0, 12))
    scale = SCALES[str(rng.choice(style.scales))]
    chords = []
    for item in str(rng.choice(_other(style, rng).progressions)).split():
        root, quality = item.split(":")
        chords.append((int(root), CHORDS[quality]))

    heard = [role for role in ROLES if rng.random() < getattr(style, role).presence] or ["comp"]
    roles = {}
    for role in heard:
        part: Part = getattr(style, role)
        pattern = _choose(getattr(_other(style, rng), role).patterns, _PATTERN_LOYALTY, rng)
        timbre = _choose(getattr(_other(style, rng), role).timbres, _TIMBRE_LOYALTY, rng)
        notes = _play(pattern, part, clock, rng, key, scale, chords)
        roles[role] = Role(timbre, part.level_db + float(rng.normal(0.0, 1.5)), notes)

    strokes = []
    if rng.random() < style.drums_presence:
        strokes = _drum(_other(style, rng).drums, clock, rng)
    reverb = float(np.exp(rng.uniform(*np.log(style.reverb))))
    return Song(clock.tempo_bpm, roles, strokes, style.drums_level_db + float(rng.normal(0.0, 2.0)), reverb)


def _other(style: Style, rng: np.random.Generator) -> Style:
    """Return the style itself, or now and then any other."""
    return style if rng.random() >= CROSSOVER else STYLES[int(rng.integers(len(STYLES)))]


def _choose(alternatives: tuple[str, ...], loyalty: float, rng: np.random.Generator) -> str:
    """Draw one alternative, earlier ones more often."""
    weights = loyalty ** np.arange(len(alternatives))
    return alternatives[int(rng.choice(len(alternatives), p=weights / weights.sum()))]


def _drum(alternatives: tuple[dict[str, str], ...], clock: _Clock, rng: np.random.Generator) -> list[tuple[str, float, float]]:
    kit = alternatives[int(rng.integers(len(alternatives)))]
    strokes = []
    for voice, pattern in kit.items():
        gain, missed = float(np.exp(rng.normal(0.0, 0.35))), float(rng.uniform(0.0, 0.12))
        if voice not in ("kick", "snare") and rng.random() < 0.15:
            continue
        for beat, symbol in clock.steps(pattern):
            chance = rng.random()
            if symbol == "." or chance < missed or (symbol == "?" and chance < 0.6) or beat < clock.first_beat - 1.0:
                continue
            strokes.append((voice, clock.seconds(beat), gain * _VELOCITY[symbol] * float(rng.uniform(0.8, 1.2))))
    return strokes


def _play(pattern: str, part: Part, clock: _Clock, rng: np.random.Generator, key: int, scale: tuple[int, ...],
          chords: list[tuple[int, tuple[int, ...]]]) -> list[Note]:
    """Turn a pattern text into notes."""
    centre = part.register + int(rng.integers(-4, 5)) + int(rng.choice([-12, 0, 0, 0, 0, 0, 0, 12]) if part.register > 50 else 0)
    gate = float(rng.uniform(*part.gate))
    missed = float(rng.uniform(0.0, 0.12))
    contour = int(rng.integers(3))
    struck = [(beat, symbol) for beat, symbol in clock.steps(pattern) if symbol != "."]
    notes = []
    walker = _Walker(key, scale, centre, rng)
    for number, (beat, symbol) in enumerate(struck):
        following = struck[number + 1][0] if number + 1 < len(struck) else beat + 1.0
        bar = int(beat // clock.bar_beats)
        root, quality = chords[bar % len(chords)]
        pitches = walker.pitches(symbol, root, quality, number, contour, bar)
        seconds = max(0.05, (following - beat) * clock.beat_seconds * gate)
        start = clock.seconds(beat)
        # A long note left out would be a hole of seconds, not a player's freedom.
        if (rng.random() < missed and seconds < 1.0) or start + seconds < -0.3:
            continue
        # What began long before the clip and still sounds is begun a second before it, lest it reach the length at which notes are cut.
        early = max(0.0, -1.0 - start)
        start, seconds = start + early, seconds - early
        notes.append(Note(start, seconds, pitches, float(rng.uniform(0.65, 1.0))))
    return notes


class _Walker:
    """Chooses pitches; remembers where a melody or a walking bass stands."""

    def __init__(self, key: int, scale: tuple[int, ...], centre: int, rng: np.random.Generator) -> None:
        self._key, self._scale, self._centre, self._rng = key, scale, centre, rng
        self._degree = int(rng.integers(-2, 4))
        self._bar = -1
        self._walk = 0

    def _near(self, pitch: int) -> int:
        """Move a pitch by octaves to within half an octave of the register."""
        return self._centre + (pitch - self._centre + 6) % 12 - 6

    def pitches(self, symbol: str, root: int, quality: tuple[int, ...], number: int, contour: int, bar: int) -> tuple[int, ...]:
        """Return the pitches of the `number`-th struck symbol; `contour` says how an arpeggio runs (up, down, up and down)."""
        base = self._near(self._key + root)
        if symbol == "c":
            return tuple(base + interval for interval in quality)
        if symbol == "a":
            run = (quality, quality[::-1], quality + quality[-2:0:-1])[contour]
            return (base + run[number % len(run)],)
        if symbol == "m":
            return (self._melody(),)
        if symbol == "w":
            return (self._step(base, bar),)
        third, fifth = quality[1], quality[2]
        seventh = quality[3] if len(quality) > 3 else 9
        return (base + {"1": 0, "3": third, "5": fifth, "7": seventh, "8": 12}[symbol],)

    def _melody(self) -> int:
        self._degree += int(self._rng.choice(_MELODY_STEPS))
        if abs(self._degree) > 7:  # back into the register rather than out of hearing
            self._degree = int(np.sign(self._degree)) * 5
        octave, degree = divmod(self._degree, len(self._scale))
        return self._near(self._key) + 12 * octave + self._scale[degree]

    def _step(self, base: int, bar: int) -> int:
        if bar != self._bar:  # the root on the first beat of each bar, then steps
            self._bar, self._walk = bar, base
        else:
            self._walk += int(self._rng.choice([-3, -2, -1, 1, 2, 2, 3]))
        return int(np.clip(self._walk, self._centre - 9, self._centre + 12))
