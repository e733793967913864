"""Operators and applications of amplitude-versus-offset analysis, and post-stack and pre-stack inversion."""

from torchlops.avo.avo import *  # noqa: F403
from torchlops.avo.avo import AVOLinearModelling
from torchlops.avo.poststack import PoststackInversion, PoststackLinearModelling
from torchlops.avo.prestack import PrestackInversion, PrestackLinearModelling, PrestackWaveletModelling

__all__ = [
    "AVOLinearModelling",
    "PoststackInversion",
    "PoststackLinearModelling",
    "PrestackInversion",
    "PrestackLinearModelling",
    "PrestackWaveletModelling",
]
