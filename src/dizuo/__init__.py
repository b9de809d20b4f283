"""dizuo (底座): a model is a stack of layers, built, gated, signed, shipped and improved alone."""

from importlib.metadata import version

__version__ = version("dizuo")
