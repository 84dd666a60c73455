"""Quantisation-aware training with TensorFlow Model Optimization, which knows Keras 2 (tf_keras) only.

    Keras 3 network -> twin (tf_keras) -> fake quantisation -> a few epochs -> weights back -> int8 FlatBuffer

Imported only where it is asked for: TensorFlow, tf_keras and the toolkit take seconds to import.
"""
