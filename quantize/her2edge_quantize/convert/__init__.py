"""From a Keras network to a TFLite FlatBuffer."""
