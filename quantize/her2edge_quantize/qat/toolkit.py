"""tf_keras and TensorFlow Model Optimization, imported in one place; nothing outside `qat` imports them.

    from her2edge_quantize.qat.toolkit import tf_keras, tfmot

Raises RuntimeUnavailable where one is missing. The toolkit sets an environment variable that turns `tf.keras`
into Keras 2 for every process started later; it is put back.
"""

import os

from her2edge.errors import RuntimeUnavailable
from her2edge_quantize.convert.export import require_tensorflow

_LEGACY = "TF_USE_LEGACY_KERAS"

require_tensorflow()
_before = os.environ.get(_LEGACY)
try:
    import tensorflow_model_optimization as tfmot
    import tf_keras
except ImportError as error:
    raise RuntimeUnavailable(
        f"found no usable TensorFlow Model Optimization ({error}), expected it and tf_keras for "
        'quantisation-aware training: install them with `pip install "her2edge[quantize]"`'
    ) from error
finally:
    os.environ.pop(_LEGACY, None)
    if _before is not None:
        os.environ[_LEGACY] = _before

__all__ = ["tf_keras", "tfmot"]
