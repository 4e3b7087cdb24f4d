import core  # noqa: F401  before torch and torchvision: see core/__init__.py
