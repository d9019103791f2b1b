"""Which device a job computes on."""

import torch


def pick_device(threads: int) -> torch.device:
    """The first visible GPU, else the CPU with `threads` threads; TF32 off, so that float32 means float32."""
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
