"""The eight invented styles of the demo corpus, as data.

Owns what a style is: tempo, patterns, chords, timbres, registers. Makes no sound and draws no random numbers; imports nothing outside
the standard library. Tempi are in beats per minute, registers in MIDI note numbers (60 = middle C), chord roots in semitones above the
key note.

The styles borrow the names and the plainest habits of musical forms (a waltz counts three, techno has a kick on every beat). They are
caricatures made for exercising a classifier: a score on them says nothing about real music.

Pattern texts
-------------
One group of characters per beat, groups separated by spaces; the length of a group is the number of steps its beat is divided into
(4 = sixteenth notes, 3 = triplets). A pattern repeats for as long as the clip lasts, in its own length. ``.`` lets the last note ring.

Drums: ``X`` accent, ``x`` normal, ``o`` soft, ``?`` soft and played by chance. Pitched roles: ``1 3 5 7`` degrees of the chord, ``8`` the
root an octave up, ``c`` the whole chord, ``a`` the next note of an arpeggio, ``m`` a step of a melody in the scale, ``w`` a walking bass:
the root on the first beat of each bar, then steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CHORDS: dict[str, tuple[int, ...]] = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "5": (0, 7, 12),
    "sus": (0, 5, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "9": (0, 4, 10, 14),
}
"""Chord qualities, semitones above the root."""

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "blues": (0, 3, 5, 6, 7, 10),
}
"""Scales a melody walks in, semitones above the key note."""


@dataclass(frozen=True)
class Part:
    """What one pitched role of a style may play.

    Parameters
    ----------
    patterns : tuple of str
        Alternatives, one drawn per track, earlier ones more often.
    timbres : tuple of str
        Names in `instruments.TIMBRES`, one drawn per track, earlier ones more often.
    register : int
        MIDI note about which the role plays.
    presence : float
        Probability that the role is heard at all.
    gate : tuple of float
        Range of the part of a note's time that it sounds (short = staccato).
    level_db : float
        Mean level in the mix, in dB.
    """

    patterns: tuple[str, ...]
    timbres: tuple[str, ...]
    register: int
    presence: float
    gate: tuple[float, float]
    level_db: float


@dataclass(frozen=True)
class Style:
    """One class of the demo corpus.

    Parameters
    ----------
    name : str
        Folder name and label.
    tempo_bpm : tuple of float
        Range in which most tempi lie; one track in six goes beyond it by up to a sixth.
    beats : int
        Beats per bar; chords change with bars.
    scales, progressions : tuple of str
        A progression is one ``root:quality`` per bar.
    drums : tuple of dict
        Alternatives: drum voice to pattern.
    drums_presence : float
        Probability that there are drums.
    drums_level_db : float
        Their mean level in the mix, in dB; drum parts have unit root mean square before, as the pitched parts have.
    reverb : tuple of float
        Range of the reverberation time, in seconds.
    """

    name: str
    tempo_bpm: tuple[float, float]
    beats: int
    scales: tuple[str, ...]
    progressions: tuple[str, ...]
    drums: tuple[dict[str, str], ...]
    drums_presence: float
    drums_level_db: float
    bass: Part
    comp: Part
    lead: Part
    reverb: tuple[float, float] = field(default=(0.2, 1.2))


STYLES: tuple[Style, ...] = (
    Style(
        name="ambient",
        tempo_bpm=(52, 104),
        beats=4,
        scales=("major", "minor", "dorian"),
        progressions=("0:maj7 5:maj7", "0:sus 10:maj", "0:m7 8:maj7", "0:min 5:m7", "0:maj7 0:sus", "0:maj 9:min 5:maj 0:sus"),
        drums=({"kick": "o... .... .... ....", "ride": ".... ?... .... ?..."},
               {"kick": "o... ...o .... ....", "hat": "..?. ..?. ..?. ..?."}),
        drums_presence=0.25,
        drums_level_db=-9,
        bass=Part(("1... .... .... ....", "1... .... 5... ....", "1... .... .... .... .... .... .... ...."),
                  ("sine", "strings", "organ", "saw"), 38, 0.75, (0.8, 1.1), -4),
        comp=Part(("c... .... .... ....", "c... .... .... .... .... .... .... ....", "c... .... c... ....", "a... a... a... a..."),
                  ("strings", "choir", "organ", "flute"), 58, 0.95, (0.9, 1.3), -2),
        lead=Part((".... m... .... ..m.", "..m. .... m... ....", "a... ..a. .... a...", "a.a. a... a.a. ...."),
                  ("bell", "sine", "flute", "choir"), 74, 0.7, (0.6, 1.4), -5),
        reverb=(0.6, 2.2),
    ),
    Style(
        name="ballad",
        tempo_bpm=(56, 100),
        beats=4,
        scales=("major", "minor"),
        progressions=("0:maj 9:min 5:maj 7:maj", "0:maj 7:maj 9:min 5:maj", "0:min 8:maj 3:maj 10:maj", "0:maj 4:min 5:maj 7:sus"),
        drums=({"kick": "X... .... x.x. ....", "snare": ".... X... .... X...", "hat": "x.o. x.o. x.o. x.o."},
               {"kick": "X... ..x. .... ....", "rim": ".... .... X... ....", "hat": "x... o... x... o..."},
               {"kick": "X... .... ..x. ....", "snare": ".... x... .... x..?", "ride": "x.x. x.x. x.x. x.x."}),
        drums_presence=0.7,
        drums_level_db=-4,
        bass=Part(("1... .... 5... ....", "1... ..1. 5... ....", "1... .... .... ..5."),
                  ("sine", "pluck", "saw", "piano"), 38, 0.8, (0.7, 1.0), -3),
        comp=Part(("a.a. a.a. a.a. a.a.", "c... c... c... c...", "c... .... c... ..c.", "1.5. 8.5. 3.5. 8.5.", "a... a.a. a... a.a."),
                  ("piano", "pluck", "bell", "organ"), 60, 0.95, (0.7, 1.2), -2),
        lead=Part(("m... ..m. m... ....", ".... m.m. m... ..m.", "m... m... m.m. ...."),
                  ("flute", "strings", "piano", "reed"), 70, 0.7, (0.8, 1.0), -2),
        reverb=(0.3, 1.6),
    ),
    Style(
        name="chiptune",
        tempo_bpm=(100, 168),
        beats=4,
        scales=("major", "minor"),
        progressions=("0:maj 5:maj 7:maj 0:maj", "0:min 8:maj 10:maj 0:min", "0:min 10:maj 8:maj 7:maj", "0:maj 9:min 2:min 7:maj"),
        drums=({"kick": "X... .... X... ....", "snare": ".... X... .... X...", "hat": "x.x. x.x. x.x. x.x."},
               {"kick": "X..x ..x. X..x ..x.", "snare": ".... X... .... X..x"},
               {"kick": "X... x... X... x...", "hat": "..x. ..x. ..x. ..xx", "snare": ".... x... .... x..."}),
        drums_presence=0.85,
        drums_level_db=-2,
        bass=Part(("1.8. 1.8. 1.8. 1.8.", "1.1. 1.1. 5.5. 1.1.", "1..1 ..1. 1..1 ..5."),
                  ("triangle", "square", "saw"), 41, 0.9, (0.4, 0.9), -3),
        comp=Part(("aaaa aaaa aaaa aaaa", "aaaaaaaa aaaaaaaa", "a.aa a.aa a.aa a.aa", "aaa. aaa. aaa. aaa."),
                  ("square", "pulse", "triangle", "bell"), 64, 0.9, (0.5, 1.0), -4),
        lead=Part(("m.mm m.m. m.mm ..m.", "m..m ..m. mmm. m...", "m.m. m.m. mmmm m..."),
                  ("square", "pulse", "triangle", "saw"), 74, 0.85, (0.5, 0.95), -3),
        reverb=(0.05, 0.8),
    ),
    Style(
        name="march",
        tempo_bpm=(92, 136),
        beats=4,
        scales=("major", "minor"),
        progressions=("0:maj 0:maj 7:7 0:maj", "0:maj 5:maj 7:7 0:maj", "0:maj 7:7 7:7 0:maj", "0:min 7:7 0:min 5:min"),
        drums=({"kick": "X... x... X... x...", "snare": "..x. ..x. ..x. ..xx"},
               {"kick": "X... .... X... ....", "snare": "x..o x.oo x..o xxoo", "ride": "X... .... .... ...."},
               {"kick": "X... x... X... x...", "snare": "o.xo o.xo o.xo oooo"}),
        drums_presence=0.85,
        drums_level_db=-1,
        bass=Part(("1... 5... 1... 5...", "1... .... 5... ....", "1... 5... 8... 5..."),
                  ("brass", "reed", "pluck", "organ"), 40, 0.9, (0.35, 0.7), -2),
        comp=Part(("..c. ..c. ..c. ..c.", ".... c... .... c...", "..c. ..cc ..c. ..cc"),
                  ("brass", "reed", "organ"), 58, 0.9, (0.3, 0.7), -4),
        lead=Part(("m..m m... m..m m...", "m... m... m.m. m...", "m.mm m.m. m.mm m..."),
                  ("brass", "flute", "reed", "strings"), 72, 0.85, (0.6, 0.95), -2),
        reverb=(0.2, 1.5),
    ),
    Style(
        name="shuffle",
        tempo_bpm=(84, 150),
        beats=4,
        scales=("blues", "major"),
        progressions=("0:7 0:7 5:7 0:7", "0:7 5:7 0:7 7:7", "0:5 0:5 5:5 0:5", "0:9 5:9 7:9 5:9"),
        drums=({"kick": "X.. ..x X.. ...", "snare": "... X.. ... X..", "hat": "x.x x.x x.x x.x"},
               {"kick": "X.. X.. X.. X..", "snare": "..o X.o ..o X.o", "ride": "x.x x.x x.x x.x"},
               {"kick": "X.. ... x.x ...", "snare": "... X.. ... X..", "hat": "x.. x.. x.. x.."}),
        drums_presence=0.95,
        drums_level_db=-1,
        bass=Part(("1.1 3.3 5.5 3.3", "1.1 1.1 5.5 5.5", "1.. 3.. 5.. 7..", "1.1 5.5 7.7 5.5"),
                  ("pluck", "sine", "saw", "piano"), 40, 0.9, (0.5, 0.9), -2),
        comp=Part(("c.c c.c c.c c.c", "..c ..c ..c ..c", "c.. ..c c.. ..c", "c.c c.. c.c c.."),
                  ("overdrive", "organ", "piano", "pluck", "reed"), 57, 0.9, (0.3, 0.8), -3),
        lead=Part(("m.m m.. ..m m..", "mmm m.. ... ...", "..m m.m m.. ..."),
                  ("overdrive", "reed", "pluck", "organ"), 69, 0.7, (0.6, 1.0), -2),
        reverb=(0.1, 0.9),
    ),
    Style(
        name="swing",
        tempo_bpm=(104, 196),
        beats=4,
        scales=("major", "dorian", "blues"),
        progressions=("2:m7 7:7 0:maj7 9:7", "0:maj7 9:m7 2:m7 7:7", "0:m7 5:7 10:maj7 3:maj7", "0:7 5:9 0:7 7:9"),
        drums=({"ride": "X.. x.x X.. x.x", "hat": "... x.. ... x.."},
               {"ride": "x.. X.x x.. X.x", "hat": "... x.. ... x..", "snare": "..? ... ..o ..?", "kick": "o.. ... ..? ..."},
               {"snare": "o.. o.o o.. o.o", "hat": "... x.. ... x.."}),
        drums_presence=0.95,
        drums_level_db=-1,
        bass=Part(("w.. w.. w.. w..", "w.. w.. w.w w..", "1.. ... 5.. ..."), ("pluck", "sine", "triangle"), 40, 0.95, (0.7, 1.0), -1),
        comp=Part(("... ..c ... c..", "c.. ..c ... ...", "..c ... c.. ..c", "c.. c.. c.. c.."),
                  ("piano", "pluck"), 60, 0.9, (0.2, 0.7), -5),
        lead=Part(("m.m m.m ..m m.m", "m.m m.. ..m ...", "mmm m.m m.. ..m", "... m.m m.m m.."), ("reed", "piano"), 70, 0.8, (0.6, 1.0), -2),
        reverb=(0.2, 1.1),
    ),
    Style(
        name="techno",
        tempo_bpm=(112, 148),
        beats=4,
        scales=("minor", "dorian"),
        progressions=("0:min 0:min 0:min 0:min", "0:min 0:min 10:maj 10:maj", "0:m7 0:m7 5:m7 5:m7", "0:5 0:5 3:5 1:5"),
        drums=({"kick": "X... X... X... X...", "hat": "..x. ..x. ..x. ..x."},
               {"kick": "X... X... X... X...", "hat": "xox. xox. xox. xox.", "snare": ".... X... .... X..."},
               {"kick": "X... X... X... X..?", "ride": "..x. ..x. ..x. ..x.", "rim": "...x ..x. .x.. x..."},
               {"kick": "X..x ..X. ..x. X...", "snare": ".... X... .... X...", "hat": "x.x. x.x. x.x. x.x."}),
        drums_presence=0.95,
        drums_level_db=2,
        bass=Part(("..1. ..1. ..1. ..1.", "1.11 .1.1 1.11 .1.8", ".111 .111 .111 .111", "1... ..1. .... 1..."),
                  ("saw", "square", "sine", "triangle"), 36, 0.9, (0.4, 0.9), -2),
        comp=Part(("..c. .... .c.. ....", "c... .... .... ....", "...c ..c. ...c ..c.", "a.a. a.a. a.a. a.a."),
                  ("saw", "organ", "square", "strings", "bell"), 60, 0.75, (0.2, 1.0), -5),
        lead=Part(("aaaa aaaa aaaa aaaa", "a..a ..a. a..a ..a.", "m.m. .m.. m.m. .m.."),
                  ("saw", "pulse", "bell", "square"), 68, 0.6, (0.3, 0.8), -6),
        reverb=(0.1, 1.4),
    ),
    Style(
        name="waltz",
        tempo_bpm=(88, 180),
        beats=3,
        scales=("major", "minor"),
        progressions=("0:maj 0:maj 7:7 7:7", "0:maj 9:min 2:min 7:7", "0:min 5:min 7:7 0:min", "0:maj 5:maj 7:7 0:maj"),
        drums=({"kick": "X. .. ..", "snare": ".. o. o."},
               {"kick": "X. .. ..", "hat": ".. x. x.", "snare": ".. .. ?."},
               {"ride": "X. .. ..", "rim": ".. x. x."}),
        drums_presence=0.65,
        drums_level_db=-6,
        bass=Part(("1. .. ..", "1. .. .. 5. .. ..", "1. .. .5"), ("pluck", "accordion", "strings"), 40, 0.9, (0.4, 0.9), -2),
        comp=Part((".. c. c.", ".. c. cc", "1. 5. 3.", "a. a. a."), ("accordion", "piano", "strings"), 60, 0.95, (0.3, 0.8), -4),
        lead=Part(("m. .m m.", "m. .. m.", "mm mm mm", "m. m. m."), ("accordion", "flute", "strings", "bell"), 73, 0.85, (0.7, 1.0), -2),
        reverb=(0.2, 1.6),
    ),
)
"""All styles, in alphabetical order of their names."""
