"""Data sets of one's own: files, folders of images, Hugging Face objects."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.scenarios.readers.files import Arrays, from_huggingface, read

__all__ = ["Arrays", "from_huggingface", "read"]

__getattr__ = public(__name__, {"Arrays": "files", "from_huggingface": "files", "read": "files"})
