"""From a dataset on the disk to arrays, without TensorFlow."""
