"""The ResNet against torchvision's, freezing, and what a source artefact must hold."""

import pytest
import torch
from torch import nn

from advtransfer.artefacts import load_tensors, save_tensors
from advtransfer.errors import InputError
from advtransfer.models import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ResNet,
    load_network,
    load_source,
    save_model,
    source_resolution,
    unfreeze_last,
)
from advtransfer.randomness import generator_for

METADATA = {
    "layers": [1, 1, 1, 1],
    "width": 0.125,
    "stem": "imagenet",
    "classes": 5,
    "resolution": 32,
    "mean": list(IMAGENET_MEAN),
    "std": list(IMAGENET_STD),
    "threat": None,
}


@pytest.fixture
def source(tmp_path):
    network = ResNet(5, (1, 1, 1, 1), 0.125)
    network.initialise(generator_for(0, "initialisation"))
    save_tensors(tmp_path / "source.safetensors", network.state_dict(), METADATA)
    return tmp_path / "source.safetensors", network.eval()


def test_at_full_width_it_is_torchvisions_resnet50():
    from torchvision.models import resnet50

    torch.manual_seed(0)
    theirs = resnet50(weights=None).eval()
    ours = ResNet(1000).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-6)


def test_the_parts_are_those_of_torchvisions_layers(source):
    """Each part against the modules that it stands for; the sum of branches against a hook on the last ReLU."""
    network = source[1]
    images = torch.rand(2, 3, 32, 32)
    blocks = [*network.layer1, *network.layer2, *network.layer3, *network.layer4]
    assert network.blocks() == blocks
    for trained in (0, 1, 4):
        assert network.split_blocks(trained) == (blocks[: 4 - trained], blocks[4 - trained :])
    seen = []
    handle = blocks[-1].relu.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    with torch.no_grad():
        x = network.maxpool(network.relu(network.bn1(network.conv1(images))))
        assert torch.equal(network.stem(images), x)
        for block in blocks[:-1]:
            x = block(x)
        out = blocks[-1](x)
        handle.remove()
        assert torch.equal(blocks[-1].sum_of_branches(x), seen[-1])
        assert torch.equal(seen[-1].clamp_min(0), out)
        assert torch.equal(network.pool(out), network.avgpool(out).flatten(1))
        assert torch.equal(network.features(images), network.pool(out))


@pytest.mark.parametrize(("blocks", "expected"), [(0, 20_490), (1, 4_483_082), (3, 14_985_226), (9, 22_083_594)])
def test_trainable_parameters_are_the_papers(blocks, expected):
    """20,490 / 4.48M / 14.99M / 22.08M parameters at 10 classes (docs/protocol.md)."""
    network = ResNet(10)
    parameters = unfreeze_last(network, blocks)
    assert sum(parameter.numel() for parameter in parameters) == expected
    assert len(network.blocks()) == 16


def test_too_many_blocks_are_refused():
    with pytest.raises(InputError, match=r"found 17; the network has 16\. Choose 0 to 16"):
        unfreeze_last(ResNet(10, width=0.125), 17)


def test_a_source_artefact_gives_its_network_back(source):
    path, network = source
    model = load_source(path)
    images = torch.rand(3, 3, 32, 32)
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(images), network((images - mean) / std))
        # The input is clamped to [0, 1] first.
        torch.testing.assert_close(model(images + 2), model(torch.ones_like(images)))
        torch.testing.assert_close(model.network.fc(model.features(images)), model(images))
    assert not model.training
    assert source_resolution(path) == 32


def test_a_fine_tuned_network_is_read_as_a_source(source, tmp_path):
    path, _ = source
    model = load_source(path)
    model.network.fc = nn.Linear(256, 4)
    save_model(tmp_path / "model.safetensors", model, path, {"blocks": 3, "class_names": list("abcd")})
    again = load_source(tmp_path / "model.safetensors")
    facts = load_tensors(tmp_path / "model.safetensors", [])[1]
    assert (facts["classes"], facts["blocks"], facts["resolution"]) == (4, 3, 32)
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again(images), model(images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("layer2.0.bn1.weight"), "tensor 'layer2.0.bn1.weight' is missing"),
        (lambda tensors: tensors.update({"fc.weight": torch.zeros(7, 256)}), "shape \\[7, 256\\]"),
        (lambda tensors: tensors["conv1.weight"].view(-1)[0].fill_(float("nan")), "NaN or infinite"),
        (
            lambda tensors: tensors.update({"layer5.weight": torch.zeros(1)}),
            "'layer5.weight' \\(and 0 more\\) is unknown",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(source, tmp_path, change, message):
    tensors = {name: tensor.clone() for name, tensor in source[1].state_dict().items()}
    change(tensors)
    save_tensors(tmp_path / "bad.safetensors", tensors, METADATA)
    with pytest.raises(InputError, match=message):
        load_source(tmp_path / "bad.safetensors")


def test_a_file_that_does_not_say_what_it_is(tmp_path):
    save_tensors(tmp_path / "bare.safetensors", {"x": torch.zeros(1)}, {"classes": 5})
    with pytest.raises(InputError, match="metadata lacks layers, mean, std, stem, width"):
        load_source(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("layers", 3, "a list of the numbers of blocks"),
        ("layers", [3, "4"], "a list of the numbers of blocks"),
        ("width", "0.25", "a positive number"),
        ("width", -1.0, "a positive number"),
        ("stem", None, "imagenet or cifar"),
        ("classes", 2.5, "a positive whole number"),
        ("resolution", [32], "a positive whole number"),
        ("mean", [0.5], "a list of 3 numbers"),
        ("std", [0.2, 0.2, 0], "a list of 3 positive numbers"),
    ],
)
def test_metadata_of_another_kind_is_one_line(tmp_path, key, value, words):
    network = ResNet(4, (1, 1, 1, 1), 0.125)
    save_tensors(tmp_path / "odd.safetensors", network.state_dict(), {**METADATA, "classes": 4, key: value})
    for read in (load_source, source_resolution) if key == "resolution" else (load_source,):
        with pytest.raises(InputError, match=f"its metadata says {key}: .* which must be {words}"):
            read(tmp_path / "odd.safetensors")


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e5m2, torch.int8])
def test_weights_that_are_no_real_numbers_are_refused(dtype):
    network = ResNet(4, (1, 1, 1, 1), 0.125)
    tensors = network.state_dict() | {"fc.bias": torch.ones(4).to(dtype)}
    with pytest.raises(InputError, match=r"tensor 'fc\.bias' holds values of type"):
        load_network(network, tensors, "odd")
