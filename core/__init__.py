"""Beamscope: live search trees over text-to-image generation."""

import os

from core.torchvision_shim import install

# Torch's threads sleep between their tasks instead of spinning. Beside other programs a spinning pool waits for threads
# that have no core to run on, and a search takes ten times as long or more. Read when torch is imported: hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

install()
