"""Data sets of one's own: files, folders of images, Hugging Face objects."""
