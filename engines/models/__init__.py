"""Implements the networks as torch modules. Only the submodules import torch."""
