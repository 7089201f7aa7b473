"""Training in PyTorch, one fold after another: the baseline of `benchmarks.loso` and `benchmarks.systems`.

It follows good practice in PyTorch: all clips lie on the device, batches are cut by a shuffled index and
not by a DataLoader, nothing in an epoch waits for a number, optimizers are PyTorch's fused ones, and the
memory format is the faster one (contiguous: by a fifth to a third on 2 CPU cores; not measured on a GPU).
A system trains as its config says: input, batch, order, optimizer, loss; the last partial batch is kept.
Dual-ATME is here, written for speed, with the losses of `configs/cd.py` (focal with gamma 2, 0.01 of the
cosine distance); `tests/test_torch_baseline.py` compares logits, loss and gradients with ours. The other
systems are in `torch_systems`. Layers start as PyTorch's own do.

Axes: N clips, B clips of a batch, T held-out clips, K classes.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from benchmarks import workload
from dualatme_jax import models, schema
from dualatme_jax.errors import InputError
from dualatme_jax.training import prepare

try:
    import torch
    from torch import nn
    from torch.nn import functional

    from benchmarks import torch_systems
    from benchmarks.torch_systems import capsulenet
except ImportError as error:
    raise InputError(
        f"PyTorch cannot be imported ({error}); the benchmark's baseline needs it: pip install -e '.[bench]'"
    ) from error

REDUCED = 6  # channels after the 1x1 convolutions that precede the 3x3 and 5x5 ones
FOCAL_GAMMA = 2.0
COSINE_WEIGHT = 0.01


class Unit(nn.Sequential):
    """Convolution, batch normalisation, ReLU: [B, C, H, W] to [B, features, H, W]."""

    def __init__(self, channels: int, features: int, size: int):
        super().__init__(
            nn.Conv2d(channels, features, size, padding=size // 2),
            nn.BatchNorm2d(features),
            nn.ReLU(inplace=True),
        )


class Inception(nn.Module):
    """Four branches of `width` channels: [B, C, H, W] to [B, 4 * width, H, W].

    In this order: 1x1; 1x1 to 6, 3x3; 1x1 to 6, 5x5; 3x3 max pool, 1x1. The three 1x1 units that read the
    input itself are one, `first`, with their channels in this order: the same arithmetic in fewer calls.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.widths = [width, REDUCED, REDUCED]
        self.first = Unit(channels, sum(self.widths), 1)
        self.branch3x3 = Unit(REDUCED, width, 3)
        self.branch5x5 = Unit(REDUCED, width, 5)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.branch_pool = Unit(channels, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The four branches' maps, concatenated."""
        direct, reduced3x3, reduced5x5 = self.first(x).split(self.widths, dim=1)
        return torch.cat(
            [direct, self.branch3x3(reduced3x3), self.branch5x5(reduced5x5), self.branch_pool(self.pool(x))],
            dim=1,
        )


class CBAM(nn.Module):
    """Channel attention, then spatial attention: [B, C, H, W] to the same shape."""

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)
        self.spatial = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The maps, weighted."""
        pooled = torch.stack([x.mean((2, 3)), x.amax((2, 3))])
        channel_attention = torch.sigmoid(self.excite(functional.relu(self.squeeze(pooled))).sum(0))
        x = x * channel_attention[:, :, None, None]
        pooled = torch.stack([x.mean(1), x.amax(1)], dim=1)
        return x * torch.sigmoid(self.spatial(pooled))


def branch() -> nn.Sequential:
    """Inception 6, max pool, Inception 12, max pool: [B, 3, 28, 28] to [B, 48, 7, 7]."""
    return nn.Sequential(Inception(3, 6), nn.MaxPool2d(2), Inception(24, 12), nn.MaxPool2d(2))


class DualATME(nn.Module):
    """The network of the paper's figure: attention on the entire face's branch alone."""

    def __init__(self, classes: int = 3, dropout: float = 0.5):
        super().__init__()
        self.entire = branch()
        self.puzzled = branch()
        self.cbam = CBAM(48, reduction=16)
        self.fusion = nn.Linear(2 * 48 * 7 * 7, 1024)
        self.fusion_norm = nn.BatchNorm1d(1024)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(1024, classes)

    def forward(
        self, flow: torch.Tensor, flow_puzzled: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits [B, K] and both branches' features [B, 2352].

        Args:
          flow: [B, 3, 28, 28], the entire face, -1..1.
          flow_puzzled: [B, 3, 28, 28], the puzzled face, -1..1.
        """
        entire = self.cbam(self.entire(flow)).flatten(1)
        puzzled = self.puzzled(flow_puzzled).flatten(1)
        x = functional.relu(self.fusion_norm(self.fusion(torch.cat([entire, puzzled], dim=1))))
        return self.classifier(self.dropout(x)), entire, puzzled


def joint_loss(
    logits: torch.Tensor, entire: torch.Tensor, puzzled: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Focal loss plus `COSINE_WEIGHT` times the cosine distance of the branches' features; batch means."""
    cross_entropy = functional.cross_entropy(logits, labels, reduction='none')
    focal = (-torch.expm1(-cross_entropy)) ** FOCAL_GAMMA * cross_entropy
    distance = 1 - functional.cosine_similarity(entire, puzzled, dim=1)
    return focal.mean() + COSINE_WEIGHT * distance.mean()


@dataclasses.dataclass(frozen=True)
class Clips:
    """The dataset on the device.

    Attributes:
      inputs: what the network reads, in the order of its record's `reads`, each [N, C, *S] float32.
      labels: [N] int64.
    """

    inputs: tuple[torch.Tensor, ...]
    labels: torch.Tensor


@dataclasses.dataclass(frozen=True)
class Options:
    """What changes the speed and not the network.

    Attributes:
      device: `cpu` or `cuda`.
      threads: of a CPU.
      channels_last: memory format of images and convolutions.
      compile: `torch.compile` of the network and its loss.
      tf32: on a GPU, TF32 in convolutions and matrix products.
    """

    device: str = 'cpu'
    threads: int = 1
    channels_last: bool = False
    compile: bool = False
    tf32: bool = False

    @property
    def memory_format(self) -> torch.memory_format:
        """Of images and of convolutions' kernels."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


class Baseline:
    """The sequential training of folds.

    The device holds one network, whose layers draw new parameters for every fold.

    Args:
      inputs: key -> [N, *S, C] uint8, what the system reads.
      labels: [N], 0..K-1.
      classes: K.
      options: of speed.
      config: of the system, by default Dual-ATME's; see `workload.config`.

    Raises:
      InputError: a device that is not there.
    """

    def __init__(
        self,
        inputs: Mapping[str, np.ndarray],
        labels: np.ndarray,
        *,
        classes: int,
        options: Options,
        config: ConfigDict = workload.CONFIG,
    ):
        _prepare(options)
        self._options, self._config = options, config
        two_branches = config.model.name == 'dual_atme'
        reads = models.system(config.model.name).reads
        channels_first = {key: np.moveaxis(inputs[key], -1, 0) for key in reads}
        prepared = prepare.preparation(**config.input)(channels_first)
        self._clips = Clips(
            tuple(_on_device(prepared[key], options) for key in reads),
            torch.as_tensor(labels, dtype=torch.int64, device=options.device),
        )
        network = build(config.model, classes)
        self._network = network.to(options.device, memory_format=options.memory_format)
        self._criterion = joint_loss if two_branches else criterion(config.loss)
        self._scaling: list[
            tuple[torch.Tensor, torch.Tensor]
        ] = []  # of the fold: mean and most of each input
        self._loss = torch.compile(self._forward) if options.compile else self._forward

    def train(self, folds: Sequence[np.ndarray], *, epochs: int, seed: int = 0) -> list[np.ndarray]:
        """Trains one network per fold, one after another, each for all its epochs.

        Args:
          folds: the held-out clips [T] of each.
          epochs: of each.
          seed: of parameters, order and dropout.

        Returns:
          The class probabilities [T, K] of each fold's held-out clips, by the last epoch's weights.
        """
        torch.manual_seed(seed)
        return [self._fold(held_out, epochs) for held_out in folds]

    def _fold(self, held_out: np.ndarray, epochs: int) -> np.ndarray:
        for layer in self._network.modules():
            if hasattr(layer, 'reset_parameters'):
                layer.reset_parameters()
        optimizer = make_optimizer(self._network.parameters(), self._config.optimizer)
        every = np.arange(len(self._clips.labels))
        device = self._options.device
        train = torch.as_tensor(np.setdiff1d(every, held_out), device=device)
        if (scale := self._config.input.scale) in schema.BY_CLIPS:
            by = [x if scale == schema.WHOLE_SET else x[train] for x in self._clips.inputs]
            self._scaling = [(x.mean(), x.max()) for x in by]
        self._network.train()
        for _ in range(epochs):
            self._epoch(train, optimizer)
        return self._predict(torch.as_tensor(held_out, device=device))

    def _epoch(self, train: torch.Tensor, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        """Trains one epoch; returns its mean loss, which stays on the device."""
        total = torch.zeros((), device=train.device)
        settings = self._config.training
        order = train[torch.randperm(len(train), device=train.device)] if settings.shuffle else train
        for index in order.split(settings.batch_size):
            loss = self._loss(self._batch(index), self._clips.labels[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(index)
        return total / len(train)

    def _batch(self, index: torch.Tensor) -> list[torch.Tensor]:
        """What the network reads of some clips, scaled by those of the fold if the config asks for it."""
        found = [own[index] for own in self._clips.inputs]
        if not self._scaling:
            return found
        return [(x - mean) / (most - mean) for x, (mean, most) in zip(found, self._scaling, strict=True)]

    def _forward(self, inputs: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        return self._criterion(*self._outputs(inputs), labels)

    def _outputs(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Logits, and of Dual-ATME both branches' features."""
        outputs = self._network(*inputs)
        return outputs if isinstance(outputs, tuple) else (outputs,)

    @torch.inference_mode()
    def _predict(self, index: torch.Tensor) -> np.ndarray:
        self._network.eval()
        logits, *_ = self._outputs(self._batch(index))
        return logits.softmax(-1).cpu().numpy()


def build(model: ConfigDict, classes: int) -> nn.Module:
    """The network that the section `model` of a config names."""
    # Layers start as PyTorch has them, whatever `init` is.
    given = {option: value for option, value in model.items() if option not in ('name', 'init')}
    if model.name == 'dual_atme':
        return DualATME(classes, **given)
    return torch_systems.build(model.name, classes=classes, **given)


def criterion(settings: ConfigDict) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Of logits and labels: the margin loss where the section `loss` names it, or the cross-entropy."""
    if settings.name != 'margin':
        return functional.cross_entropy
    margins = {name: settings[f'margin_{name}'] for name in ('present', 'absent', 'others')}
    return functools.partial(capsulenet.margin_loss, **margins)


def make_optimizer(parameters: Iterable[nn.Parameter], settings: ConfigDict) -> torch.optim.Optimizer:
    """The optimizer that the section `optimizer` of a config names."""
    rate = settings.learning_rate
    if settings.name == 'sgd':
        return torch.optim.SGD(parameters, lr=rate, momentum=settings.momentum, fused=True)
    if settings.name == 'rmsprop':
        decay = settings.weight_decay if settings.coupled_decay else 0.0
        options = {'alpha': settings.rms_decay, 'eps': settings.epsilon, 'weight_decay': decay}
        return torch.optim.RMSprop(parameters, lr=rate, **options)
    betas = settings.beta1, settings.beta2
    moments = {'lr': rate, 'betas': betas, 'eps': settings.epsilon, 'fused': True}
    if settings.weight_decay:
        kind = torch.optim.Adam if settings.coupled_decay else torch.optim.AdamW
        return kind(parameters, weight_decay=settings.weight_decay, **moments)
    return torch.optim.Adam(parameters, **moments)


def default_device() -> str:
    """`cuda` where PyTorch has a GPU, `cpu` elsewhere."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def describe(device: str) -> dict[str, str | None]:
    """PyTorch's version and that of CUDA, and the device's name."""
    name = torch.cuda.get_device_name() if device == 'cuda' else 'cpu'
    return {'torch': torch.__version__, 'cuda': torch.version.cuda, 'device': name}


def _prepare(options: Options) -> None:
    """Sets what is of the process: threads, precision."""
    if options.device == 'cuda' and not torch.cuda.is_available():
        raise InputError(
            f'PyTorch {torch.__version__} sees no GPU; expected one for --device cuda. '
            "Install PyTorch's wheel for CUDA, or leave --device out"
        )
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    torch.backends.cudnn.allow_tf32 = options.tf32
    torch.backends.cudnn.benchmark = True


def _on_device(inputs: np.ndarray, options: Options) -> torch.Tensor:
    """Inputs [C, N, *S] as [N, C, *S], on the device."""
    found = torch.as_tensor(inputs, device=options.device).movedim(0, 1)
    return found.contiguous(memory_format=options.memory_format) if found.ndim == 4 else found.contiguous()
