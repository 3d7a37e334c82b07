"""The version of this package. It is released together with the library."""

__version__ = "0.1.0"
