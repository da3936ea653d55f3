"""Data sets by name: built in, or prepared by TensorFlow Datasets."""
