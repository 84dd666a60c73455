"""Turns trained networks into verified .tflite models."""
