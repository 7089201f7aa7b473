"""Made-up systems beside STSTNet, on a dataset with pictures: `config.py:FOLDER` of it."""

from ml_collections import ConfigDict

from configs import cd


def get_config(folder: str) -> ConfigDict:
    """All fields; each system trains one epoch."""
    config = cd.get_config()
    config.data.path = folder
    config.training.epochs = 1
    config.training.batch_size = 16
    config.report.leaderboard = True
    config.report.resamples = 20
    config.report.pictures = False
    config.report.shortened = 'one epoch'
    config.selection.every = 1
    config.checkpoint.keep_weights = False
    config.sweep = (
        {'model.name': 'ststnet'},  # of the published ones it compiles fastest
        {'model.name': 'made_up.two_faces', 'model.width': 1},
        {'model.name': 'made_up.two_clips', 'training.batch_size': 8},
        {'model.name': 'made_up.histogram', 'model.cost': (0.01, 0.1)},
    )
    return config
