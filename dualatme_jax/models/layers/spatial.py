"""What a layer has for each spatial axis of its maps: sizes, strides, padding."""

from collections.abc import Sequence

# One number for all axes, or one number per axis.
PerAxis = int | tuple[int, ...]

# 'same', 'tensorflow', one number for all sides, or for each axis one number or (before, behind).
Padding = str | int | tuple[int | tuple[int, int], ...]


def per_axis(value: PerAxis, number: int) -> tuple[int, ...]:
    """One number for each of `number` axes; raises ValueError if `value` has another number of them."""
    values = (value,) * number if isinstance(value, int) else tuple(value)
    if len(values) != number:
        raise ValueError(f'{value} has {len(values)} numbers; expected one number, or {number}: one per axis')
    return values


def ends(
    padding: Padding, sizes: Sequence[int], reaches: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """How much is padded before and behind each axis.

    Args:
      padding: numbers as they are; `same`: as many as keep the size at stride 1 (PyTorch's); `tensorflow`: as
        many as make the output ceil(size / stride) (TensorFlow's and Keras's `same`). Both put what is odd
        behind, and are equal at stride 1.
      sizes: of the input.
      reaches: inputs from the first tap to the last.
      strides: from output to output.
    """
    if padding == 'same':
        totals = [reach - 1 for reach in reaches]
    elif padding == 'tensorflow':
        totals = [
            max((-(-size // stride) - 1) * stride + reach - size, 0)
            for size, reach, stride in zip(sizes, reaches, strides, strict=True)
        ]
    elif isinstance(padding, str):
        raise ValueError(f"padding {padding!r}: expected numbers, 'same' or 'tensorflow'")
    else:
        sides = (padding,) * len(sizes) if isinstance(padding, int) else padding
        return tuple((side, side) if isinstance(side, int) else tuple(side) for side in sides)
    return tuple((total // 2, total - total // 2) for total in totals)
