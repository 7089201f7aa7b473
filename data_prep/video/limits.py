"""Every threshold of the way from a video to its events, in one place.

Lengths are in pixels of an aligned face of 224 unless another unit is said; times in seconds.
"""

# Spotting, see `spotter`.
WINDOW = 1 / 3  # from a frame back and ahead to those that it is compared with
# Peak of an event over the noise of the video. The spread of the largest cells grows with their mean, so that
# one factor does for a camera's noise and for a head that is never still.
STRENGTH = 3.6
LEAST_MOTION = 0.15  # of a peak, whatever the video's noise
SHARE = 0.8  # of the way back to rest, at which an expression begins and ends
LONGEST = 2.0  # seconds from the apex to either end that are looked at
MICRO = 0.5  # an expression that lasts no longer is a micro-expression (Yan et al., 2013)

# What is no expression.
BLINK = 1.8  # motion of the lids over that of the face, from which on an event is a blink
# Turning of the head there and back over the motion of the face, from which on it explains an event. Turning
# moves the middle of the face against its rim; what moves less may be what the model of a head leaves over.
HEAD = 1.0
TALKING = 3  # peaks of the mouth within `TALKING_TIME` that are speech
TALKING_TIME = 1.5

# Quality of a face.
FACE_SIZE = 40.0  # pixels of the video between the eyes, below which motion is too small to be seen
DARK = 40.0  # mean grey level of the face
BLURRED = 15.0  # variance of the Laplacian of the aligned face
TURNED = 0.35  # how far the nose is from the middle between the eyes, over their distance
RATE = 29.0  # frames a second: at 25 a micro-expression of a fifth of a second has five frames
UNSTEADY = 0.05  # share of the frames that come more than half of a step too early or too late
FACELESS = 0.5  # share of the frames without a face
SEEN = 2.0  # seconds that another face is there, from which on it has an answer of its own
OUTSIDE = 0.1  # share of the landmarks outside of the frame
STILL = 0.02  # motion of face and head in nearly all frames, below which nothing moves
