import core  # noqa: F401  before torchvision: see core/torchvision_shim.py
