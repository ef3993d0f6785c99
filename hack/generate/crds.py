"""crds/: the CustomResourceDefinitions, from the pydantic models."""
from __future__ import annotations

from akeso.model.api.crd import files

OWNS = ("crds/*.yaml", "crds/Kustomization")
__all__ = ["OWNS", "files"]
