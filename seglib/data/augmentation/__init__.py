"""Augmentation of image and mask pairs: policies, and the object that applies one."""
