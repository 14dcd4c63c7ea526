"""Networks as files."""

from gasl.files.export import export
from gasl.files.store import load, save
from gasl.files.whole import whole_file

__all__ = ["export", "load", "save", "whole_file"]
