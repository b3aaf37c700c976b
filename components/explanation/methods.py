"""The methods by which maps are made, see `maps`."""

from __future__ import annotations

from typing import Literal

Method = Literal["grad_cam", "grad_cam_plus_plus", "hires_cam"]

NAMES: dict[str, str] = {
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "hires_cam": "HiRes-CAM",
}
SOURCES: dict[str, str] = {
    "grad_cam": "Selvaraju et al. 2017, arXiv:1610.02391",
    "grad_cam_plus_plus": "Chattopadhay et al. 2018, arXiv:1710.11063",
    "hires_cam": "Draelos & Carin 2020, arXiv:2011.08891",
}
