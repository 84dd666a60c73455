"""From a Keras network to a TFLite FlatBuffer: what is converted, its ranges, its head, its edge graph."""
