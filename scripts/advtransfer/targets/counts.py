"""How many images the targets of fixed content have, known before anything is downloaded or imported."""

# Training images, test images and classes by data set (torchvision) or by kind (the others).
COUNTS = {
    "CIFAR10": {"train": 50_000, "test": 10_000, "classes": 10},
    "CIFAR100": {"train": 50_000, "test": 10_000, "classes": 100},
    "SVHN": {"train": 73_257, "test": 26_032, "classes": 10},
    "FashionMNIST": {"train": 60_000, "test": 10_000, "classes": 10},
    "KMNIST": {"train": 60_000, "test": 10_000, "classes": 10},
    "MNIST": {"train": 60_000, "test": 10_000, "classes": 10},
    "digits": {"train": 1_297, "test": 500, "classes": 10},
    "glyphs": {"train": 2_000, "test": 500, "classes": 10},
}
