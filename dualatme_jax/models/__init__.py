"""The systems, one file each, whose records are listed here. `system` finds one by name."""

import hashlib
import importlib
import pathlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from dualatme_jax.errors import InputError, check_choice
from dualatme_jax.kinds import shown
from dualatme_jax.models import (
    aman,
    bi_woof,
    capsulenet,
    dual_atme,
    dual_branch_3dcnn,
    dual_inception,
    htnet,
    kernel_ridge,
    kernel_ridge_steps,
    kfc_mer,
    lbp_top,
    mean,
    micro_attention,
    mmnet,
    off_apexnet,
    per_example,
    rcn,
    resnet18,
    small_cnn,
    softnet,
    ststnet,
)
from dualatme_jax.models.kernel_ridge import KernelRidge
from dualatme_jax.models.system import CLOSED_FORM, SKLEARN, System

SYSTEMS = {
    system.name: system
    for system in (
        dual_atme.SYSTEM,
        ststnet.SYSTEM,
        off_apexnet.SYSTEM,
        dual_inception.SYSTEM,
        *rcn.SYSTEMS,
        resnet18.SYSTEM,
        small_cnn.SYSTEM,
        htnet.SYSTEM,
        mmnet.SYSTEM,
        capsulenet.SYSTEM,
        micro_attention.SYSTEM,
        lbp_top.SYSTEM,
        bi_woof.SYSTEM,
        dual_branch_3dcnn.SYSTEM,
        kfc_mer.SYSTEM,
        aman.SYSTEM,
        kernel_ridge.SYSTEM,
        kernel_ridge_steps.SYSTEM,
        softnet.SYSTEM,
        mean.SYSTEM,
    )
}
NETWORKS = tuple(name for name, system in SYSTEMS.items() if not system.fitting)  # which have weights

# Files of what runs an import, in a traceback.
_IMPORTERS = (importlib.__file__, '<frozen importlib._bootstrap>', '<frozen importlib._bootstrap_external>')


def build(name: str, **options) -> Any:
    """The network called `name`, made from its own options (see its `build`) and the number of classes.

    Every network is called as `model.apply(variables, inputs, mask=mask, train=bool)` with the inputs by key,
    each [C, *S, B], and mask [B], and returns an `Output`. Of a system whose learner is scikit-learn it is an
    estimator instead, a classifier that can tell probabilities or scores of classes; of one that is solved in
    closed form a `KernelRidge`.

    Raises:
      InputError: no such system, or a value that it cannot use; or its `build` returns something else.
    """
    found = system(name)
    network = found.build(**options)
    scores = any(hasattr(network, method) for method in ('predict_proba', 'decision_function'))
    if found.learner == SKLEARN and not (
        scores and hasattr(network, 'fit') and hasattr(network, 'get_params')
    ):
        raise InputError(
            f'{name}: build returns {type(network).__name__}; expected a scikit-learn estimator with fit '
            'and with predict_proba or decision_function, since its learner is scikit-learn'
        )
    if found.learner == SKLEARN and not hasattr(network, 'predict_proba') and _scores_pairs(network):
        raise InputError(
            f"{name}: build returns {type(network).__name__} with decision_function_shape='ovo', which "
            "scores pairs of classes; expected 'ovr', one score per class"
        )
    if found.learner == CLOSED_FORM and not isinstance(network, KernelRidge):
        raise InputError(
            f'{name}: build returns {type(network).__name__}; expected a KernelRidge '
            '(dualatme_jax.models.kernel_ridge), since its learner is the closed form'
        )
    if lacking := [option for option in found.traced if not hasattr(network, option)]:
        raise InputError(
            f'{name}: the network that build returns has no field {lacking[0]!r}, which its record lists as '
            'traced'
        )
    return network


def _scores_pairs(estimator: Any) -> bool:
    given = estimator.get_params(deep=True).items()
    return any(key.split('__')[-1] == 'decision_function_shape' and value == 'ovo' for key, value in given)


def system(name: str) -> System:
    """The record of the system called `name`: of `SYSTEMS`, or `SYSTEM` of the module of that name.

    A module of one's own has a dot in its name, such as `my_package.my_system`.

    Raises:
      InputError: there is none; of a module that fails on import it has the traceback.
    """
    if name not in SYSTEMS and '.' in name and all(part.isidentifier() for part in name.split('.')):
        return _imported(name)
    others = ', or a module of your own that holds a SYSTEM, such as my_package.my_system'
    check_choice('model', name, 'config.model.name', sorted(SYSTEMS), others=others)
    return SYSTEMS[name]


def is_known(name: Any) -> bool:
    """Whether a system is there without an import: a file may name it, and runs no code by that."""
    own = sys.modules.get(name) if isinstance(name, str) else None
    return name in list(SYSTEMS) or isinstance(getattr(own, 'SYSTEM', None), System)


def title(name: str) -> str:
    """What reports call a system; a module of one's own that nobody has imported by its name."""
    return system(name).title if is_known(name) else name


def code_of(name: str) -> str | None:
    """The SHA-256 of the file of a module of one's own; None of a system of `SYSTEMS`, or without a file."""
    known = system(name) is SYSTEMS.get(name)
    file = None if known else getattr(sys.modules[name], '__file__', None)
    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest() if file else None


def _imported(name: str) -> System:
    """The record that a module holds."""
    asked = f'config.model.name is {name!r}'
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f'{name}.'.startswith(f'{error.name}.'):
            raise _broken(asked, error) from error
        raise InputError(
            f'{asked}, and there is no module {error.name!r}; expected one that can be imported from the '
            'current folder or from a folder of PYTHONPATH'
        ) from error
    except (Exception, SystemExit) as error:
        raise _broken(asked, error) from error
    found = getattr(module, 'SYSTEM', None)
    if not isinstance(found, System):
        what = f'SYSTEM is {shown(found)}' if hasattr(module, 'SYSTEM') else 'there is no SYSTEM'
        raise InputError(f'{asked}, and in {name} {what}; expected SYSTEM = System(...), see docs/systems.md')
    if found.name != name:
        raise InputError(f'{asked}, and its SYSTEM is called {found.name!r}; expected name=__name__')
    return found


def _broken(asked: str, error: BaseException) -> InputError:
    """What an import raised, with the part of its traceback that lies in the module."""
    if isinstance(error, InputError):  # of its record
        return InputError(f'{asked}: {error}')
    own = error.__traceback__
    while own and own.tb_frame.f_code.co_filename in (__file__, *_IMPORTERS):
        own = own.tb_next
    told = ''.join(traceback.format_exception(type(error), error, own)).rstrip()
    return InputError(f'{asked}, and that module fails on import:\n{told}')


def shapes(network: nn.Module, inputs: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Shapes of the network's variables where it reads inputs of these shapes; nothing is computed.

    Args:
      network: as `build` makes it.
      inputs: key -> (C, *S).

    Raises:
      InputError: no layer can have such maps: the pictures are too small for it, or not square, or others;
        or the network looks for an input that is not among them, or has a layer of `per_example.REFUSED`.
    """
    given = {key: jax.ShapeDtypeStruct((*shape, 1), 'float32') for key, shape in inputs.items()}
    try:
        with per_example.by_name():
            return jax.eval_shape(
                lambda given: network.init(jax.random.key(0), given, mask=np.ones(1), train=False), given
            )
    except InputError:  # which is a ValueError
        raise
    except KeyError as error:
        raise InputError(
            f'{type(network).__name__} looks for {error}, which is none of the inputs that its record '
            f'reads, {", ".join(inputs)}; expected it there, reads=(...)'
        ) from error
    except (TypeError, ValueError, IndexError) as error:  # so JAX and Flax call maps that do not fit
        sizes = ', '.join(f'{key} of {"x".join(map(str, shape))}' for key, shape in inputs.items())
        raise InputError(
            f'{type(network).__name__} cannot read {sizes} (channels first; {str(error).splitlines()[0]}); '
            'build the dataset with another --size, such as 28 for flows, or train another config.model.name'
        ) from error
