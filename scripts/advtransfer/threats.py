"""Threat models: the set of perturbations that an adversary may add to an image (paper, section 3).

Images are float tensors [n, c, h, w] with pixels in [0, 1]; epsilon is the radius of the ball in these pixel units at
the resolution at which the network is attacked.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch


def _per_image(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))


def _l2_norms(tensor: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(tensor.flatten(1), dim=1)


def _unit_l2(tensor: torch.Tensor) -> torch.Tensor:
    """Each image divided by its L2 norm; an image of zeros stays zero.

    The largest entry is divided out first, since the squares of a saturated network's gradients underflow in float32.
    """
    tiny = torch.finfo(tensor.dtype).tiny
    scaled = tensor / _per_image(tensor.flatten(1).abs().amax(dim=1).clamp_min(tiny), tensor)
    return scaled / _per_image(_l2_norms(scaled).clamp_min(tiny), tensor)


@dataclass(frozen=True)
class L2:
    """All perturbations of an image with Euclidean norm at most `epsilon`."""

    epsilon: float
    norm: ClassVar[str] = "l2"

    def project(self, perturbation: torch.Tensor) -> torch.Tensor:
        """The nearest point of the ball to each perturbation [n, c, h, w]."""
        norms = _l2_norms(perturbation)
        factors = torch.where(norms > self.epsilon, self.epsilon / norms, torch.ones_like(norms))
        return perturbation * _per_image(factors, perturbation)

    def step(self, gradient: torch.Tensor, step_size: float) -> torch.Tensor:
        """The steepest ascent step of L2 length `step_size` along each image's gradient [n, c, h, w]."""
        return step_size * _unit_l2(gradient)

    def random_start(self, images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """A Gaussian direction at radius epsilon for each image (the convention of the `robustness` library)."""
        return self.epsilon * _unit_l2(_draw(torch.randn, images, generator))

    def size(self, perturbation: torch.Tensor) -> torch.Tensor:
        """The norm of each perturbation, [n]."""
        return _l2_norms(perturbation)


@dataclass(frozen=True)
class Linf:
    """All perturbations of an image that change no pixel value by more than `epsilon`."""

    epsilon: float
    norm: ClassVar[str] = "linf"

    def project(self, perturbation: torch.Tensor) -> torch.Tensor:
        """The nearest point of the ball to each perturbation [n, c, h, w]."""
        return perturbation.clamp(-self.epsilon, self.epsilon)

    def step(self, gradient: torch.Tensor, step_size: float) -> torch.Tensor:
        """The steepest ascent step of Linf length `step_size` along each image's gradient [n, c, h, w]."""
        return step_size * gradient.sign()

    def random_start(self, images: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """A uniform draw from the ball for each image."""
        return self.epsilon * (2 * _draw(torch.rand, images, generator) - 1)

    def size(self, perturbation: torch.Tensor) -> torch.Tensor:
        """The norm of each perturbation, [n]."""
        return perturbation.flatten(1).abs().amax(dim=1)


Threat = L2 | Linf


def _draw(sample, images: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    # A generator belongs to a device: drawing on the CPU gives the same numbers wherever the images are.
    device = generator.device if generator is not None else images.device
    return sample(images.shape, generator=generator, device=device, dtype=images.dtype).to(images.device)


def threat_from(norm: str, epsilon: float) -> Threat:
    """The threat named "l2" or "linf"."""
    return {"l2": L2, "linf": Linf}[norm](float(epsilon))
