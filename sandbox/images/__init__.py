"""Container images for the pods of real nodes, made on this machine by buildah.

Here belong: a base with a Python, made from Debian's packages where none can be pulled; the image
of the Dockerfile on that base; a Redis to stand for the one that the chart names. Not here: the
registry that serves them, nor anything that runs them.
"""

from sandbox.images.build import BASE_PYTHON, REDIS, Images, ImagesMissing

__all__ = ["BASE_PYTHON", "REDIS", "Images", "ImagesMissing"]
