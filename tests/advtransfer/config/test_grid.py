"""Jobs of fine-tuning: each model in one of them, whatever figure asks, and none anew where an experiment grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advtransfer.config.grid import cells, row_files, transfer_jobs
from advtransfer.config.resolve import experiment_for
from experiments import an_experiment, read_config, resolved

# Those that draw accuracy against the number of images.
FIGURES = ["fig2", "fig4", "fig5", "table5"]
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=6, unique=True).map(sorted)
STEPS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 4), st.booleans()), max_size=3, unique_by=lambda step: step[0]
).map(lambda steps: [*map(list, sorted(steps)), [10**9, 3, False]])


@st.composite
def experiments(draw):
    """Two targets with sizes of their own, some cells with other numbers of seeds, or none, any steps."""
    targets = ["leaves", "fish"]
    sizes = {target: [[images, draw(st.integers(0, 5))] for images in draw(SIZES)] for target in targets}
    rules = [
        {
            "images_up_to": draw(st.integers(1, 40)),
            "seeds": draw(st.integers(0, 5)),
            "blocks": [draw(st.sampled_from([0, 3]))],
        }
        for _ in range(draw(st.integers(0, 2)))
    ]
    return an_experiment(targets=tuple(targets)) | {"sizes": sizes, "cell_seeds": rules, "seeds_per_job": draw(STEPS)}


@given(experiments())
def test_each_model_has_one_job(experiment):
    """Of all cells that figures draw, and of no others, as fig2 and its kin draw each size here."""
    planned = {
        (cell.source, cell.target, cell.blocks, cell.images, seed)
        for figure in FIGURES
        for cell in cells(experiment, figure)
        for seed in range(cell.models)
    }
    jobs = transfer_jobs(experiment, FIGURES)
    trained = [
        (job.source, job.target, job.blocks, images, seed)
        for job in jobs.values()
        for images in job.images
        for seed in range(job.first, job.last + 1)
    ]
    assert len(trained) == len(set(trained)) == sum(job.models for job in jobs.values())
    assert set(trained) == planned
    steps = experiment["seeds_per_job"]
    for job in jobs.values():
        (step,) = {next(place for place, step in enumerate(steps) if images <= step[0]) for images in job.images}
        assert job.last - job.first < steps[step][1]
        assert len(job.images) == 1 or steps[step][2]


@given(experiments(), st.integers(41, 60), st.sampled_from(["leaves", "fish"]))
def test_larger_sizes_and_full_chunks_leave_jobs_alone(experiment, images, target):
    """A size beyond those that share jobs, and seeds that fill no chunk that was begun."""
    before = transfer_jobs(experiment, FIGURES).keys()
    grown = {**experiment["sizes"], target: [*experiment["sizes"][target], [images, 5]]}
    assert before <= transfer_jobs({**experiment, "sizes": grown}, FIGURES).keys()
    one = {**experiment, "seeds_per_job": [[10**9, 1, True]], "cell_seeds": []}
    more = {**one, "sizes": {name: [[n, models + 1] for n, models in pairs] for name, pairs in one["sizes"].items()}}
    left = {
        (job.source, job.target, job.blocks, job.first, images)
        for job in transfer_jobs(one, FIGURES).values()
        for images in job.images
    }
    now = {
        (job.source, job.target, job.blocks, job.first, images)
        for job in transfer_jobs(more, FIGURES).values()
        for images in job.images
    }
    assert left <= now


@pytest.mark.parametrize("name", ["demo", "paper", "slice"])
def test_a_figure_reads_the_files_that_all_figures_share(name):
    """Though its own jobs are told nothing of what other figures show."""
    experiment = resolved(read_config(), name)
    jobs = transfer_jobs(experiment)
    for figure in experiment["figures"]:
        files = row_files(experiment_for(experiment, figure), figure)
        assert set(files) <= jobs.keys()
        drawn = {(c.source, c.target, c.blocks, c.images): c.models for c in cells(experiment, figure)}
        held = dict.fromkeys(drawn, 0)
        for job in (jobs[file] for file in files):
            for images in job.images:
                if (job.source, job.target, job.blocks, images) in held:
                    held[job.source, job.target, job.blocks, images] += job.last - job.first + 1
        assert held == drawn
