"""What a dataset holds: keys, shapes, label sets and names. Standard library only.

`data_prep` writes it, `dualatme_jax.data.dataset` reads it, and the reports speak its words.
"""

import argparse
import shlex
from collections.abc import Iterable, Mapping

# The databases, in the order in which tables show them.
DATABASE_TITLES = {
    'casme2': 'CASME II',
    'smic': 'SMIC',
    'samm': 'SAMM',
    'casme_sq': 'CAS(ME)^2',
    'casme3': 'CAS(ME)3',
    'mmew': 'MMEW',
    '4dme': '4DME',
    'dfme': 'DFME',
    'meview': 'MEVIEW',
    'deception': 'Real-life trial',
}
DATABASES = tuple(DATABASE_TITLES)


def title(database: str) -> str:
    """What tables call a database: one of the user's own by its name."""
    return DATABASE_TITLES.get(database, database)


# The databases of MEGC2019-CD, the composite.
COMPOSITE = ('casme2', 'smic', 'samm')

# Clips and subjects of the complete composite, and of each of its three databases in it.
MEGC2019_CD = {'full': (442, 68), 'casme2': (145, 24), 'smic': (164, 16), 'samm': (133, 28)}

# The classes of the challenge (MEGC2019), in its list's numbering. Every dataset names its own classes in its
# features; a class's number is its place among them.
LABELS = ('negative', 'positive', 'surprise')

# One clip's motion from onset to apex: [height, width, channel], uint8 0..255, each channel
# min-max scaled by clip: horizontal flow u, vertical flow v, optical strain.
FLOW_SIZE = 28
FLOW_CHANNELS = ('u', 'v', 'strain')
FLOW_SHAPE = (FLOW_SIZE, FLOW_SIZE, len(FLOW_CHANNELS))

# The same over a fixed time of a long video, of brows and mouth alone.
WINDOWS_SHAPE = (42, 42, len(FLOW_CHANNELS))

# The classes of windows: whether the window meets an expression.
NEUTRAL, EXPRESSION = WINDOW_LABELS = ('neutral', 'expression')

# Keys of an example.
FLOW = 'flow'  # FLOW_SHAPE: the entire face
FLOW_PUZZLED = 'flow_puzzled'  # FLOW_SHAPE: an upper region stacked on a lower one (HARS)
FLOW_STEPS = 'flow_steps'  # (steps, *FLOW_SHAPE): the entire face, one after the other
ONSET_FACE, APEX_FACE = 'onset_face', 'apex_face'  # aligned faces, RGB
ONSET_FACE_GREY, APEX_FACE_GREY = 'onset_face_grey', 'apex_face_grey'
FACE_FRAMES, CROP_FRAMES = 'face_frames', 'crop_frames'  # frames of a clip, RGB
FRAME_NUMBERS = 'frame_numbers'  # which they are
FACE_FLOW, FACE_STRAIN, FACE_PARTS = 'face_flow', 'face_strain', 'face_parts'  # of the aligned face
LBP_TOP, BI_WOOF = 'lbp_top', 'bi_woof'  # histograms, [D]
WINDOWS = 'windows'  # WINDOWS_SHAPE: brows above the mouth, over a fixed time, within a long video
LABEL = 'label'  # int, index into the dataset's labels, or UNLABELLED: nobody has said it
UNLABELLED = -1
DATABASE = 'database'  # one of DATABASES
SUBJECT = 'subject'  # unique within its database only
CLIP = 'clip'  # unique within its database and subject only
ONSET, APEX, OFFSET = 'onset', 'apex', 'offset'  # frame numbers
APEX_CHOICE = 'apex_choice'  # where the apex comes from
ACTION_UNITS = 'action_units'
EMOTION = 'emotion'  # the release's own word, finer than the label

# Measures of a clip, float32, by which motion is known in units of the face: older datasets, and those of
# images, have none of them but perhaps the frame rate.
EYE_DISTANCE = 'eye_distance'  # pixels of the aligned face at which the motion was computed; of a template's
FRAME_RATE = 'frame_rate'  # frames a second
UNKNOWN_MEASURE = -1.0

# In the metadata, under 'flow': height and width in pixels of the aligned face at which motion was computed,
# and a unit of motion, of which older datasets have the first.
COMPUTED_AT, UNIT = 'computed_at', 'unit'
PIXELS, EYE_DISTANCES_PER_SECOND = 'pixels', 'eye_distances_per_second'


def range_of(key: str) -> str:
    """The measure that holds the least and the largest value of each channel of an input of motion, [C, 2].

    They are in the unit of the motion: what min-max scaling has taken away.
    """
    return f'{key}_range'


# What is stored of a clip by each view, and the channels of each: the last axis, in this order. Vectors have
# none.
RGB, GREY = ('red', 'green', 'blue'), ('grey',)
PARTS = (  # right and left are the person's
    'skin',
    'left_brow',
    'right_brow',
    'left_eye',
    'right_eye',
    'glasses',
    'nose',
    'mouth',
    'upper_lip',
    'lower_lip',
)
VIEWS = {
    'flow': {FLOW: FLOW_CHANNELS, FLOW_PUZZLED: FLOW_CHANNELS},
    'flow_steps': {FLOW_STEPS: FLOW_CHANNELS},
    'apex': {ONSET_FACE: RGB, APEX_FACE: RGB, ONSET_FACE_GREY: GREY, APEX_FACE_GREY: GREY},
    'frames': {FACE_FRAMES: RGB, CROP_FRAMES: RGB},
    'parts': {
        FACE_FLOW: ('u', 'v', 'magnitude'),
        FACE_STRAIN: ('exx', 'eyy', 'exy'),
        FACE_PARTS: PARTS,
    },
    'lbp_top': {LBP_TOP: ()},
    'bi_woof': {BI_WOOF: ()},
    'windows': {WINDOWS: FLOW_CHANNELS},
}
CHANNELS = {key: channels for view in VIEWS.values() for key, channels in view.items()}


# Channels of motion: those that have a sign, and those that are 0 or more.
SIGNED, UNSIGNED = ('u', 'v', 'exx', 'eyy', 'exy'), ('strain', 'magnitude')

# From which frame of a clip to which one each step of the flow leads; the middle is that of onset and apex.
STEPS = {
    'two': ((ONSET, APEX), (APEX, OFFSET)),
    'three': ((ONSET, 'middle'), ('middle', APEX), (APEX, OFFSET)),
    'from-onset': ((ONSET, 'middle'), (ONSET, APEX), (ONSET, OFFSET)),
}

# Channels that change their sign where a face is mirrored, left for right, and those that change places.
MIRRORED = ('u', 'exy')
SIDES = {'left_brow': 'right_brow', 'left_eye': 'right_eye'}

# Height and width of pictures, behind the number of frames or steps, or the length of vectors, as `data_prep
# build` makes them if no option says otherwise; published systems read them so.
USUAL_SIZES = {
    'flow': FLOW_SHAPE[:2],
    'flow_steps': (len(STEPS['two']), *FLOW_SHAPE[:2]),
    'apex': (224, 224),
    'frames': (30, 128, 128),
    'parts': (224, 224),
    'lbp_top': (1200,),  # 5x5 blocks, three planes, 16 codes
    'bi_woof': (200,),  # 5x5 blocks, 8 directions
    'windows': WINDOWS_SHAPE[:2],
}


def measures_of(keys: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The measures that a dataset with some inputs may have of each clip, with their shapes."""
    channels = {key: CHANNELS.get(key, ()) for key in keys}
    ranges = {range_of(key): (len(names), 2) for key, names in channels.items() if is_motion(names)}
    return ranges | {EYE_DISTANCE: (), FRAME_RATE: ()}


def is_motion(names: Iterable[str]) -> bool:
    """Whether channels of these names are motion; a face is not, nor is what has no names."""
    names = {*names}
    return bool(names) and names <= {*SIGNED, *UNSIGNED}


def usual_shape(key: str) -> tuple[int, ...]:
    """[C, *S] or [D] of an input as networks read it, as its view makes it; KeyError for one's own."""
    channels = (len(CHANNELS[key]),) if CHANNELS[key] else ()
    return (*channels, *USUAL_SIZES[view_of(key)])


def built_size(key: str, options: str) -> tuple[int, ...]:
    """*S of an input as `data_prep build` makes it with some options, such as `--frame-count 11`.

    Raises ValueError or argparse.ArgumentError for text that no options can be.
    """
    view = view_of(key)
    sizes = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    sizes.add_argument('--size', type=int, default=FLOW_SIZE)
    sizes.add_argument('--face-size', type=int, default=USUAL_SIZES['apex'][0])
    sizes.add_argument('--frame-count', type=int, default=USUAL_SIZES['frames'][0])
    sizes.add_argument('--frame-size', type=int, default=USUAL_SIZES['frames'][1])
    sizes.add_argument('--flow-steps', choices=tuple(STEPS), default='two')
    given, _ = sizes.parse_known_args(shlex.split(options))
    if view == 'flow':
        return (given.size,) * 2
    if view == 'flow_steps':
        return len(STEPS[given.flow_steps]), given.size, given.size
    if view == 'frames':
        return given.frame_count, given.frame_size, given.frame_size
    return (given.face_size,) * 2 if view in ('apex', 'parts') else USUAL_SIZES[view]


def is_synthetic(metadata: Mapping[str, object]) -> bool:
    """Whether clips of a dataset are rendered or drawn, all or some, by its metadata."""
    return metadata.get('release') == SYNTHETIC or bool(metadata.get('synthetic'))


def view_of(key: str) -> str | None:
    """The view that stores an input; None of one of the user's own."""
    return next((view for view, keys in VIEWS.items() if key in keys), None)


def views_of(keys: Iterable[str]) -> list[str]:
    """The views that store some inputs."""
    wanted = {view_of(key) for key in keys}
    return [view for view in VIEWS if view in wanted]


# Scales of inputs that depend on clips: those that a fold trains on, or all of them, which leaks.
FOLD, WHOLE_SET = BY_CLIPS = ('fold', 'whole_set')

# The release whose clips are rendered: nothing that was published belongs beside a score on it.
SYNTHETIC = 'synthetic'
AMONG_REAL = 'SYNTHETIC CLIPS AMONG REAL ONES'  # begins a notice of which clips are
ALL_SYNTHETIC = 'The clips are synthetic: these are not scores of real faces.'

# The column of tables of intervals that holds what must stand wherever their scores are shown; several
# notices in one cell stand apart by this.
NOTICE, BETWEEN_NOTICES = 'notice', ' | '

# The release of labelled faces, one picture each: they have no onset.
IMAGE_FOLDER = 'image_folder'

# The release of the public flow images, which come without the frames they were computed from.
FLOW_IMAGES = 'flow_images'

# In the metadata: input -> why a score with it leaks what is to be recognised. Every report shows it.
LEAKS = 'leaks'

# Distributions whose versions decide what is found in frames: what computes, and what finds faces.
LOOKING = (
    *('numpy', 'opencv-contrib-python-headless', 'scipy'),
    *('dlib', 'dlib-bin', 'face-alignment', 'face-recognition-models', 'mediapipe'),
)

# What the source does not know.
UNKNOWN_FRAME = -1
UNKNOWN_TEXT = 'unknown'

# All clips stand in this one split: LOSO makes the folds, not the files.
SPLIT = 'clips'

# Draws of a bootstrap at the most: a few seconds for each set of clips.
MOST_RESAMPLES = 1_000_000

# The name under which scores over all databases together are reported.
FULL = 'full'

# A table of predictions: one row per clip and trial. One probability per class follows, named by this and it,
# then the hyperparameters that differ between trials.
PREDICTION_COLUMNS = ('trial', 'seed', DATABASE, SUBJECT, CLIP, LABEL, 'prediction')
PROBABILITY = 'prob_'

# The column, of tables in memory and of inner predictions, that names the fold of a prediction: who was left
# out, see `data.splits`.
LEFT_OUT = 'left_out'

# The column of the epoch, from 1, where one trial has predictions after several epochs.
EPOCH = 'epoch'


def clip_of(video: str, onset: int, offset: int) -> str:
    """The clip of an interval of a long video."""
    return f'{video}#{onset}-{offset}'


def released(database: str, subject: str) -> str:
    """A subject as the released files spell it: SAMM's have three digits, which lists shorten."""
    return subject.zfill(3) if database == 'samm' and subject.isdecimal() else subject
