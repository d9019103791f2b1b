"""Independent random streams, each derived from a seed and a purpose."""

import hashlib

import torch


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose of one run.

    Streams of different purposes are independent, so that, for example, attacking a network more often does not
    change the order in which it sees its training images.

    seed: any integer, such as the paper's 20000000 + 100000 i. purpose: a word, such as "order" or "attack".
    """
    digest = hashlib.sha256(f"{purpose}:{int(seed)}".encode()).digest()
    # 63 bits: torch's seeds are signed 64-bit integers.
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
