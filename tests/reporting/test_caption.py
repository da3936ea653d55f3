from jaxcl.reporting.pages.caption import caption, counted, machine_text

MACHINE = {"cores": 2, "cpu": "Xeon", "memory": 8.2e9, "accelerator": None, "accelerators": 0}
GPU = {**MACHINE, "cores": 16, "accelerator": "NVIDIA H100", "accelerators": 2}


def summary(**changes):
    return {
        "seeds": [0, 1, 2],
        "seconds": 90.0,
        "machine": MACHINE,
        "versions": {"jax": "0.10.2", "numpy": "2.4"},
        "git": "0123456789",
        **changes,
    }


def test_runs_that_are_alike():
    assert caption([summary(), summary()]) == (
        "2 runs of 3 seeds each; 3 minutes in all. Machine: 2 cores of Xeon, 8 GB."
        " Versions: jax 0.10.2, numpy 2.4. Commit: 0123456."
    )


def test_a_single_run_of_a_single_seed():
    text = caption([summary(seeds=[4], seconds=20.0)])
    assert text.startswith("1 run of 1 seed; less than a minute in all. ")


def test_where_runs_differ_every_value_is_counted():
    other = summary(
        seeds=[0],
        machine=GPU,
        versions={"jax": "0.10.3", "numpy": "2.4"},
        git="0123456789+",
    )
    assert caption([summary(), other, summary()]) == (
        "3 runs, 2 of 3 seeds, 1 of 1 seed; 4 minutes in all."
        " Machine: 2 cores of Xeon, 8 GB (2 runs); 16 cores of Xeon, 8 GB, 2 NVIDIA H100 (1 run)."
        " Versions: numpy 2.4; jax 0.10.2 (2 runs), jax 0.10.3 (1 run)."
        " Commit: 0123456 (2 runs), 0123456 with changes (1 run)."
    )


def test_versions_that_came_together_stand_together():
    newer = summary(versions={"jax": "0.11.2", "numpy": "2.5", "optax": "0.2"})
    older = summary(versions={"jax": "0.10.2", "numpy": "2.4", "optax": "0.2"})
    found = "optax 0.2; jax 0.11.2, numpy 2.5 (2 runs); jax 0.10.2, numpy 2.4 (1 run)."
    assert f" Versions: {found}" in caption([newer, older, newer])


def test_what_older_summaries_do_not_hold_is_not_recorded():
    old = {"seeds": [0, 1, 2], "versions": {"jax": "0.10.2"}, "git": None}
    assert caption([old]) == (
        "1 run of 3 seeds; minutes not recorded. Machine: not recorded."
        " Versions: jax 0.10.2. Commit: not recorded."
    )
    assert caption([{}, {}]).startswith("2 runs, seeds not recorded; minutes not recorded.")
    assert caption([{}, summary()]).startswith("2 runs, 1 of unknown seeds, 1 of 3 seeds;")
    assert " Versions: not recorded." in caption([{}])
    both = caption([old, summary()])
    assert "; 2 minutes in all (not recorded for 1 of the runs)." in both
    assert "Machine: not recorded (1 run); 2 cores of Xeon, 8 GB (1 run)." in both
    assert "jax 0.10.2; numpy not recorded (1 run), numpy 2.4 (1 run)" in both


def test_a_machine_of_which_little_is_known():
    unknown = {**MACHINE, "cores": 1, "cpu": None, "memory": None}
    assert machine_text(unknown) == "1 core of an unknown CPU"


def test_the_most_frequent_comes_first():
    assert counted(["a", "b", "b"]) == "b (2 runs), a (1 run)"
    assert counted(["a", "a"]) == "a"
