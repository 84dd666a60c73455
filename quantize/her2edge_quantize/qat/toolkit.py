"""tf_keras and TensorFlow Model Optimization, imported in one place; nothing outside `qat` imports them.

    from her2edge_quantize.qat.toolkit import tf_keras, tfmot

Raises RuntimeUnavailable where one is missing. The toolkit sets an environment variable that turns `tf.keras`
into Keras 2 for every process started later; it is put back.
"""

import os

from her2edge.extras import needs_extra
from her2edge_quantize.convert.converter import require_tensorflow

_LEGACY = "TF_USE_LEGACY_KERAS"

require_tensorflow()
_before = os.environ.get(_LEGACY)
try:
    with needs_extra("qat"):
        import tensorflow_model_optimization as tfmot
        import tf_keras
finally:
    os.environ.pop(_LEGACY, None)
    if _before is not None:
        os.environ[_LEGACY] = _before

__all__ = ["tf_keras", "tfmot"]
