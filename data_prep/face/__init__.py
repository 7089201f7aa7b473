"""From a frame to an aligned face: landmarks, alignment, regions, the apex."""
