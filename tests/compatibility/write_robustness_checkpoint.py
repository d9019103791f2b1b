"""Write a checkpoint with the `robustness` package itself, and what its network answers, for test_robustness_package.py.

Runs in an environment of its own (robustness pins nothing, but brings along what this project does not need):

    uv venv --python 3.11 robustness-env
    VIRTUAL_ENV=robustness-env uv pip install torch==2.13.0 torchvision==0.28.0 robustness==1.2.1.post2 setuptools
    robustness-env/bin/python tests/compatibility/write_robustness_checkpoint.py FOLDER
    uv run pytest tests/compatibility --robustness-package=FOLDER
"""

import sys
import types
from pathlib import Path

import dill
import torch

# robustness imports a module that torchvision has since dissolved.
sys.modules["torchvision.models.utils"] = types.ModuleType("torchvision.models.utils")
sys.modules["torchvision.models.utils"].load_state_dict_from_url = torch.hub.load_state_dict_from_url

from cox.utils import Parameters  # noqa: E402
from robustness import datasets, model_utils  # noqa: E402


def main(folder: Path) -> None:
    """Save an ImageNet ResNet-50 as robustness.train saves it (zip and legacy format), images in [0, 1], and logits."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    if not torch.cuda.is_available():
        torch.nn.Module.cuda = lambda self, *_: self  # robustness asks for a GPU that it does not need
    model, _ = model_utils.make_and_restore_model(arch="resnet50", dataset=datasets.ImageNet(""), parallel=True)
    network = model.module if hasattr(model, "module") else model
    network.train()
    for _ in range(20):  # statistics as a trained network has them, so that logits are of order 1
        network(torch.rand(4, 3, 224, 224))
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    images = torch.rand(4, 3, 224, 224)
    network.eval()
    with torch.no_grad():
        logits, _ = network(images)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda epoch: 0.1 ** (epoch // 50))
    saved = {
        "model": model.state_dict(),
        "optimizer": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "epoch": 90,
        "args": Parameters({"eps": 3.0, "constraint": "2"}),
        "loss": lambda logits, labels: (logits * labels).sum(),
    }
    torch.save(saved, folder / "zip.pt", pickle_module=dill)
    torch.save(saved, folder / "legacy.pt", pickle_module=dill, _use_new_zipfile_serialization=False)
    torch.save({"images": images, "logits": logits}, folder / "expected.pt")
    print(f"{len(saved['model'])} tensors in the state dict; first names: {list(saved['model'])[:3]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
