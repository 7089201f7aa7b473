"""The offline stage: a release of clips on disk becomes a dataset of optical flow. NumPy and OpenCV only."""
