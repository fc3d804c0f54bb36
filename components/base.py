"""What all components share: the image they run in, and their decorator."""

import functools

from kfp import dsl

IMAGE = "seglib:cpu"  # the local build's tag; `compile --image` pins another by digest

# The image brings seglib and kfp along: nothing is installed at run time.
component = functools.partial(
    dsl.component, base_image=IMAGE, install_kfp_package=False
)
