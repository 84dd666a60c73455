"""Networks on Keras: built, started from ImageNet, run on devices, explained by gradient."""
