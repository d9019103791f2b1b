"""Training a source on a problem small enough for a test: it learns, adversarial training makes it robust, and it resumes."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from advtransfer.artefacts import load_tensors
from advtransfer.datasets import Dataset
from advtransfer.robustness import measure_accuracy
from advtransfer.sources import remove_checkpoint, train_source
from advtransfer.threats import L2

CPU = torch.device("cpu")
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_source.py"
THREAT = {"norm": "l2", "epsilon": 0.5}
SETTINGS = {
    "layers": [1, 1],
    "width": 0.25,
    "stem": "imagenet",
    "resolution": 16,
    "seed": 0,
    "threat": None,
    "attack_steps": 2,
    "epochs": 6,
    "batch_size": 50,
    "peak_learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
}


@pytest.fixture(scope="module")
def dataset():
    """Two classes told apart by a robust feature (a bright half) and by a faint one (a checkerboard)."""
    generator = torch.Generator().manual_seed(0)
    board = (torch.arange(16).view(-1, 1) + torch.arange(16)) % 2

    def part(n):
        labels = torch.arange(n) % 2
        images = torch.randint(100, 156, (n, 3, 16, 16), generator=generator)
        sides = torch.where(torch.rand(n, generator=generator) < 0.85, labels, 1 - labels)
        half = torch.zeros(n, 1, 16, 16, dtype=torch.int64)
        half[sides == 0, :, :8] = 30
        half[sides == 1, :, 8:] = 30
        images = images + half + 6 * (board * (2 * labels.view(-1, 1, 1, 1) - 1))
        return images.clamp(0, 255).to(torch.uint8), labels

    return Dataset(*part(600), *part(200), ["top", "bottom"], {})


@pytest.fixture
def train(dataset, tmp_path, caplog):
    """Train with changed settings and a checkpoint in tmp_path; caplog holds the lines of this call alone."""
    caplog.set_level("INFO", "advtransfer.sources")

    def train(checkpoint="checkpoint.safetensors", code="0", **changes):
        caplog.clear()
        return train_source(dataset, {**SETTINGS, **changes}, CPU, tmp_path / checkpoint, {"code": code})

    return train


def same_bits(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_natural_and_adversarial_training(dataset, train, caplog):
    natural, metadata, rows = train("natural")
    assert len(rows) == len(caplog.messages) == 6
    robust, robust_metadata, _ = train("robust", threat=THREAT)
    measure = [dataset.test_images, dataset.test_labels, 16]
    assert measure_accuracy(natural, *measure) > 0.7
    assert measure_accuracy(robust, *measure, L2(0.5)) > measure_accuracy(natural, *measure, L2(0.5)) + 0.1
    assert rows[-1]["train_loss_nats"] < rows[0]["train_loss_nats"]
    assert metadata["threat"] is None
    assert robust_metadata["threat"] == THREAT
    assert metadata["classes"] == 2


def test_the_seed_determines_every_weight(train):
    one, two, other = (
        train(name, epochs=1, seed=seed)[0].state_dict() for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert same_bits(one, two)
    assert not torch.equal(one["network.fc.weight"], other["network.fc.weight"])


def test_augmentation_is_crops_and_flips_unless_said_otherwise(train):
    default = train("default", epochs=1)[0].state_dict()
    named = train("named", epochs=1, augmentation="crop_flip")[0].state_dict()
    none = train("none", epochs=1, augmentation="none")[0].state_dict()
    assert same_bits(default, named)
    assert not torch.equal(default["network.fc.weight"], none["network.fc.weight"])


def test_bfloat16_rounds_products_and_keeps_float32_weights(train):
    exact, rounded = (train(name, epochs=2, threat=THREAT, precision=name)[0].state_dict() for name in ("fp32", "bf16"))
    assert all(tensor.dtype != torch.bfloat16 for tensor in rounded.values())
    weight = "network.layer1.0.conv1.weight"
    apart = (exact[weight] - rounded[weight]).norm() / exact[weight].norm()
    assert 0 < apart < 0.2


def test_divergence_is_an_error(train):
    with pytest.raises(FloatingPointError, match="training diverged in epoch 1"):
        train(peak_learning_rate=1e20, epochs=1)


@pytest.mark.parametrize("changed", [{}, {"momentum": 0.0}, {"precision": "bf16"}])
def test_an_interrupted_training_goes_on_after_its_last_whole_epoch(train, monkeypatch, caplog, changed):
    settings = {"threat": THREAT, "epochs": 4, **changed}
    whole, _, _ = train("whole", **settings)

    def fail(*arguments, **options):
        raise KeyboardInterrupt

    from advtransfer import sources

    draws = iter([sources.augment] * 30 + [fail])  # 12 batches an epoch: amid the third
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sources, "augment", lambda *arguments: next(draws)(*arguments))
        train(**settings)
    resumed, _, rows = train(**settings)
    assert same_bits(resumed.state_dict(), whole.state_dict())
    assert "taken up after epoch 2 of 4" in caplog.messages[0]
    assert [(row["epoch"], row["resumed"]) for row in rows] == [(1, False), (2, False), (3, True), (4, False)]


def test_a_finished_training_is_taken_up_as_it_is(train, caplog):
    """What comes after training (an evaluation that ran out of memory, say) can be repeated, and changed, without it."""
    first, _, rows = train(epochs=2)
    again, _, same_rows = train(epochs=2, evaluation={"attacked_images": 10}, stored_dtype="float32")
    assert len(caplog.messages) == 1
    assert same_rows == rows
    assert same_bits(again.state_dict(), first.state_dict())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "other settings"),
        ({"code": "1"}, "other code"),
        ({"code": "1", "seed": 1}, "other code, settings"),
    ],
)
def test_a_checkpoint_of_another_training_is_left_out(train, caplog, changes, named):
    train(epochs=1)
    resumed, _, rows = train(epochs=1, **changes)
    assert caplog.messages[0].endswith(
        f"left out, the checkpoint is of another training ({named}). Training begins anew."
    )
    assert [row["resumed"] for row in rows] == [False]
    assert same_bits(resumed.state_dict(), train("other", epochs=1, **changes)[0].state_dict())


def test_a_checkpoint_of_another_number_of_threads_is_left_out(train, caplog):
    train(epochs=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        train(epochs=1)
    finally:
        torch.set_num_threads(threads)
    assert "other threads" in caplog.messages[0]


@pytest.mark.parametrize("size", [0, 7, 0.5, 0.999])
def test_a_damaged_checkpoint_is_left_out_and_overwritten(train, tmp_path, caplog, size):
    whole, _, _ = train(epochs=1)
    checkpoint = tmp_path / "checkpoint.safetensors"
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: size if isinstance(size, int) else int(size * len(content))])
    again, _, _ = train(epochs=1)
    assert caplog.messages[0] == f"{checkpoint}: left out, the checkpoint is damaged. Training begins anew."
    assert same_bits(again.state_dict(), whole.state_dict())
    train(epochs=1)
    assert "taken up after epoch 1 of 1" in caplog.messages[0]


def test_removing_a_checkpoint_removes_half_written_ones_of_its_own_only(tmp_path):
    names = ["a.checkpoint", ".a.checkpoint.x1.part", ".b.checkpoint.x1.part", "a.safetensors"]
    for name in names:
        (tmp_path / name).touch()
    remove_checkpoint(tmp_path / "a.checkpoint")
    assert {path.name for path in tmp_path.iterdir()} == set(names[2:])


def test_a_job_killed_five_times_gives_the_same_bits(dataset, tmp_path):
    dataset.save(tmp_path / "data.safetensors")
    # Many epochs more than the kills take, so that each of them meets a training under way.
    settings = {
        **SETTINGS,
        "threat": THREAT,
        "epochs": 30,
        "stored_dtype": "float32",
        "evaluation": {"threats": [THREAT], "attack_steps": 1, "attacked_images": 10},
    }

    def start(name):
        options = {"settings": json.dumps(settings), "code": "0", "dataset": tmp_path / "data.safetensors"}
        options |= {"source": tmp_path / name / "s.safetensors", "record": tmp_path / name / "s.json"}
        command = [sys.executable, SCRIPT, *(text for key, value in options.items() for text in (f"--{key}", value))]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    draw = random.Random(0)
    for kill in range(5):
        with start("killed") as job:
            lines, ends = [], []
            for line in job.stderr:
                lines.append(line)
                if line.startswith("epoch"):
                    ends.append(time.perf_counter())
                if len(ends) == 2:
                    break
            assert len(ends) == 2, lines
            assert any("taken up after epoch" in line for line in lines) == (kill > 0), lines
            # Anywhere in the epoch that follows, or while its checkpoint is written.
            time.sleep(draw.random() * (ends[1] - ends[0]))
            job.kill()
        assert job.returncode == -signal.SIGKILL

    for name in ("killed", "alone"):
        with start(name) as job:
            log = job.stderr.read()
        assert job.returncode == 0, log
        assert {path.name for path in (tmp_path / name).iterdir()} == {"s.safetensors", "s.json"}
    killed, alone = (load_tensors(tmp_path / name / "s.safetensors")[0] for name in ("killed", "alone"))
    assert same_bits(killed, alone)
    records = [json.loads((tmp_path / name / "s.json").read_text()) for name in ("killed", "alone")]
    assert [sum(row["resumed"] for row in record["epochs"]) for record in records] == [5, 0]
    for record in records:
        for row in record["epochs"]:
            del row["seconds"], row["resumed"]
    assert records[0] == records[1]
