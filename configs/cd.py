"""Dual-ATME on MEGC2019-CD: 442 clips, 68 subjects, leave-one-subject-out.

Paper    Zhou, Huang, Li, Wang: Dual-ATME, Entropy 25(3):460, 2023. Every default below is the paper's.
Command  python -m dualatme_jax.main --config=configs/cd.py
         python -m dualatme_jax.main --config=configs/cd.py:synthetic
Expect   UAR .686, UF1 .688 on the public flow images, the mean of ten seeds, standard deviation .018 and .016
         (paper: .680, .679, on another input: see docs/results.md); 6 seconds a seed on an H200 in tf32, and
         20 minutes to an hour on 2 CPU cores.
         :synthetic: UAR .763, UF1 .794, after one to three minutes.
"""

from ml_collections import ConfigDict


def get_config(dataset: str = '') -> ConfigDict:
    """All fields of an experiment. `:synthetic` takes the embedded synthetic release instead."""
    if dataset not in ('', 'synthetic'):
        raise ValueError(f"the config's argument is {dataset!r}; expected 'synthetic' or none")
    config = ConfigDict()

    config.data = ConfigDict()
    # Folder of the TFDS dataset that `python -m data_prep build` wrote; {regions} in it is filled in. Several
    # folders, with commas between, are trained on together: docs/several_datasets.md.
    config.data.path = 'data/synthetic' if dataset else 'data/megc2019_cd'
    config.data.build_synthetic = bool(dataset)  # build it there on first use
    # Options of `data_prep build` for the views that the system reads, such as '--frame-count 11'.
    config.data.build_options = ''
    config.data.regions = ''  # regions that the dataset's puzzled face must have, such as 'EM'; '': any
    config.data.databases = ('casme2', 'smic', 'samm')  # which to take; (): all of the dataset
    config.data.allow_missing_class = False  # train folds whose training side lacks a class
    # Subjects that a fold trains on, drawn by seed and fold from those that are not left out; 0: all. For a
    # learning curve, see docs/folds.md.
    config.data.train_subjects = 0
    # Clips of the most frequent class that a fold trains on, drawn by seed and fold. Below 1: this share of
    # them; from 1 on: at most so many for each clip of all other classes; 0: all.
    config.data.undersample = 0.0

    config.input = ConfigDict()
    # How motion (flow, strain) is read. 'minmax': as it lies in the dataset, as published; 'robust': for each
    # clip and channel, u and v minus their median, then all divided by a percentile of their absolute value
    # and clipped; 'raw': in units of the face, for datasets that were built from frames. The last two replace
    # the scale, see docs/encoding.md.
    config.input.encoding = 'minmax'
    config.input.percentile = 95.0  # encoding 'robust': this percentile becomes 1
    config.input.clip = 4.0  # encoding 'robust': larger absolute values are clipped
    # 'signed': bytes to -1..1, 'unit': to 0..1, 'imagenet': then normalised as ImageNet's pictures are,
    # 'byte': 0..255; 'stored': numbers of any type as they are; 'fold': (x - mean) / (most - mean), of the
    # clips that a fold trains on; 'whole_set': of all clips, which LEAKS: to reproduce papers.
    config.input.scale = 'signed'
    # The order in which the network reads them, for inputs that have these; (): as they are stored.
    config.input.channels = ('u', 'v', 'strain')
    config.input.size = 0  # pictures are resized to this edge in pixels; 0: as they are stored
    # Training takes a window of `input.size`, anywhere in the stored picture, instead of resizing all of it.
    config.input.random_crop = False
    # Whether the prediction is the mean of the probabilities of a clip and of its mirror image.
    config.input.mirror_at_test = False

    # Of systems with a frozen stage, such as a feature extractor; see docs/systems.md.
    config.stage = ConfigDict()
    # The file of its weights, if it has some: .safetensors, .pth, ...; of several networks PART=FILE,...
    config.stage.weights = ''
    config.stage.batch_size = 32  # clips that it computes at a time

    config.model = ConfigDict()
    # 'dual_atme', 'ststnet', 'off_apexnet', 'dual_inception', 'rcn_a', 'rcn_s', 'rcn_w', 'rcn_c', 'rcn_f',
    # 'resnet18', 'htnet', ...: the configs of these names have their papers' settings. Or a module of your
    # own, such as my_package.my_system, see docs/systems.md. Beside the name may stand options of that
    # system, such as config.model.variant = 'code', or on the command line --config.model.dropout=0.3;
    # --fields lists them.
    config.model.name = 'dual_atme'

    config.loss = ConfigDict()
    # 'focal', 'cross_entropy', 'weighted_cross_entropy', of capsules 'margin', of outputs that are trained to
    # be 0 or 1 'squared_error'
    config.loss.name = 'focal'
    config.loss.focal_gamma = 2.0  # loss 'focal': how much less clips count that are right already
    config.loss.focal_alpha = 1.0  # loss 'focal': a factor
    config.loss.class_weights = (0.2857, 0.1329, 0.1695)  # loss 'weighted_cross_entropy': one per class
    config.loss.margin_present = 0.99  # loss 'margin': the right class's capsule should be longer
    config.loss.margin_absent = 0.01  # loss 'margin': other classes' capsules should be shorter
    config.loss.margin_others = 0.5  # loss 'margin': weight of the other classes
    config.loss.cosine_weight = 0.01  # weight of the cosine loss, the paper's lambda
    config.loss.cosine_pair = ('entire', 'puzzled')  # the features that the cosine loss draws together
    config.loss.label_smoothing = 0.0  # part of the target that is spread over all classes
    config.loss.mixup = 0.0  # two clips of a batch are mixed by Beta(a, a); this is a; 0: not mixed
    # Weight of a class: (mean count / its count) ** class_balance, in the fold's training clips; 0: 1, and 1:
    # scikit-learn's 'balanced'.
    config.loss.class_balance = 0.0
    config.loss.floor = 0.0  # below this probability of the right class the loss no longer grows
    # Whether the weighted cross-entropy is divided by the number of clips, as in Keras, or by their weights.
    config.loss.mean_over_clips = False

    # Random changes of clips in training, see docs/augmentation.md. Strengths of 0 change nothing, as in the
    # paper; all of them can be swept.
    config.augment = ConfigDict()
    config.augment.mirror = 0.0  # probability that a clip is mirrored, left for right; u changes its sign
    config.augment.shift = 0.0  # largest shift along each axis, as a fraction of the edge
    config.augment.rotation = 0.0  # largest rotation in degrees
    config.augment.scale = 0.0  # largest change of size, as a fraction
    config.augment.erase = 0.0  # edge of a rectangle that takes the picture's mean, as a fraction of the edge
    config.augment.noise = 0.0  # standard deviation, as a fraction of the range of values
    config.augment.strength = 0.0  # flows: largest change of the strength of motion, as a fraction
    # Random crop from the picture with zeros around it: their width, as a fraction of the edge.
    config.augment.crop = 0.0
    config.augment.colour = 0.0  # RGB: largest change of brightness, contrast, saturation, hue

    config.optimizer = ConfigDict()
    config.optimizer.name = 'adam'  # 'adam', 'sgd' or 'rmsprop'
    config.optimizer.learning_rate = 1e-3  # of the first epoch
    config.optimizer.momentum = 0.9  # optimizer 'sgd'
    config.optimizer.beta1 = 0.9  # optimizer 'adam'
    config.optimizer.beta2 = 0.999  # optimizer 'adam'
    config.optimizer.rms_decay = 0.99  # optimizer 'rmsprop': PyTorch's alpha
    config.optimizer.epsilon = 1e-8  # optimizers 'adam' and 'rmsprop': PyTorch's eps
    config.optimizer.weight_decay = 0.0  # how fast all parameters shrink
    # Whether weight decay is part of the gradient, as mostly in PyTorch, or decoupled from it, as in AdamW.
    config.optimizer.coupled_decay = False
    config.optimizer.bias_rate = 1.0  # factor on the learning rate of biases; in Caffe mostly 2
    # 'constant' or 'step'. The published code declares StepLR(10, 0.5) and never steps it.
    config.optimizer.schedule = 'constant'
    config.optimizer.step_epochs = 10  # schedule 'step': epochs between two changes of the learning rate
    config.optimizer.step_factor = 0.5  # schedule 'step': factor on the learning rate
    config.optimizer.step_until = 0  # schedule 'step': no change after so many epochs; 0: no limit

    # A folder that `python -m dualatme_jax.convert` wrote, or the workdir of a run that kept its weights: its
    # networks are scored, each on the subject that it has not seen, and nothing is trained. If the run has
    # config.folds='all', each seed's network scores all subjects of another dataset.
    config.evaluate_only = ''

    # Start from weights: the workdir of a run that kept its own, a folder that `dualatme_jax.convert` wrote,
    # or one file (.pth, .pt, .safetensors). What fits by name and shape is copied, for each fold from
    # the network that has not seen its subject, if there is one. '': fresh networks.
    config.init_from = ''
    # Parameters that are not trained, by patterns such as 'params/entire/*' ('*' takes slashes too). A frozen
    # normalisation runs by its running statistics, which stay.
    config.freeze = ()

    config.training = ConfigDict()
    config.training.epochs = 60  # the weights of the last epoch are kept
    config.training.batch_size = 128  # clips
    config.training.shuffle = True  # a new order every epoch; else that of the dataset
    config.training.balanced = False  # every epoch draws clips, each class with the same probability

    # Who is left out of a fold: one 'subject' (LOSO); one 'database' (cross-database); one of 'parts' of
    # whole subjects; 'all': nobody is left out: one network per seed for new clips, and no scores.
    config.folds = 'subject'
    config.fold_parts = 5  # folds 'parts': how many, with classes spread evenly; each seed cuts others

    config.seeds = (0,)  # every fold is trained once per seed

    # Whether everything works, in a minute: two folds (of each database), one epoch, one seed. It is not a
    # result, and is marked so wherever it is shown.
    config.smoke = False

    # Grids: mappings from a field to a value, or to several: ({'loss.cosine_weight': (0, 0.001, 0.01)},). A
    # grid is the product of its fields; several grids follow each other.
    config.sweep = ()

    # Leaks of a paper, of 'action_units', 'whole_set_scaling', 'best_epoch', 'folds_averaged', 'uf1_of_one':
    # a table shows what each adds to the honest score, which stays the result.
    config.as_published = ()

    config.selection = ConfigDict()
    # 'last' epoch of every point; 'nested': for each left-out subject the best point and kept epoch by other
    # subjects; 'best_on_test': the best kept epoch on that very subject, which LEAKS: to reproduce papers.
    config.selection.name = 'last'
    config.selection.every = 0  # keep the predictions of every so many epochs; 0: only of the last epoch
    config.selection.parts = 5  # 'nested': parts of the other subjects, each predicted without it
    config.selection.metric = 'uf1'  # what the best one is best in: 'uf1', 'uar' or 'acc'

    config.report = ConfigDict()
    config.report.resamples = 1000  # draws of the bootstrap over subjects
    config.report.pictures = True  # draws what a run has to WORKDIR/pictures, as PNG and SVG: some seconds
    # '' or 'mlflow': also logs the run to mlflow.db beside the workdir, see docs/report_pictures.md.
    config.report.tracker = ''
    # A table of the paper to show beside ours: 'modules', 'regions', 'lambda', 'loss' (configs/table_*.py).
    config.report.paper = ''
    config.report.leaderboard = False  # the points of the sweep are systems, see configs/leaderboard.py
    # What must be known of the design itself, such as that it was found by looking at the scores it gets:
    # stands wherever its scores do.
    config.report.caveat = ''
    config.report.shortened = ''  # the note of a shortened run about itself
    # The system of a leaderboard that the others are compared with, or 'ensemble'; '': Dual-ATME.
    config.report.reference = ''
    # Predictions of several members as one, scored once (docs/ensembles.md): '', 'mean' of the probabilities,
    # or 'vote'.
    config.report.ensemble = ''
    # What its members are: 'seeds', 'points' of the sweep, which on a leaderboard are systems, or 'both'.
    config.report.ensemble_over = 'seeds'
    config.report.ensemble_members = ()  # only points with these networks, by name; (): all
    # Shows where the networks looked in clips that most seeds get wrong, if their weights are kept:
    # docs/attention.md.
    config.report.attention = True

    config.checkpoint = ConfigDict()
    config.checkpoint.every = 10  # epochs between checkpoints: a killed run loses at most so many
    config.checkpoint.keep_weights = True  # for evaluate_only and init_from; 19 MB per trial
    # Keep what a finished run needs to be trained for more epochs, see docs/growing_runs.md: with Adam three
    # times as much as the weights.
    config.checkpoint.keep_state = False

    config.engine = ConfigDict()
    # At most so many trials side by side; 0: as memory takes, or one per core on CPUs, the fastest there.
    config.engine.max_trials = 0
    config.engine.memory_gib = 0.0  # memory for training, on all devices together; 0: most of what is free
    # Whether activations are computed again in the backward pass: 'auto' where one trial is too large without
    # (docs/devices.md), 'on' or 'off'.
    config.engine.rematerialise = 'auto'
    # Batches are taken in parts of so many clips, one after the other; 0: whole batches, or parts that fit
    # where one trial is too large.
    config.engine.micro_batch = 0
    config.engine.devices = 0  # devices that share the trials; 0: all. A CPU counts as one device per core
    config.engine.mapping = 'shard_map'  # how trials are mapped to devices: 'shard_map' or 'pmap'
    # One program an 'epoch', or a 'step'; 'auto': a step on CPUs, an epoch elsewhere.
    config.engine.dispatch = 'auto'
    # Precision of products: 'float32', or for speed 'tf32' (GPUs) or 'bfloat16', in which a GPU keeps maps
    # between layers too; sums, weights and their updates are always float32.
    config.engine.precision = 'float32'
    # How convolutions are computed: 'auto' by their shapes, or 'tile', 'im2col', 'row', 'unrolled', 'grouped'
    # for all of them; see `python -m benchmarks.lowering`.
    config.engine.lowering = 'auto'
    # Programs are kept here for the next run; '': nowhere. JAX_COMPILATION_CACHE_DIR comes first.
    config.engine.cache = '~/.cache/dualatme_jax'

    config.lock()
    config.model.unlock()  # for options of the system
    return config
