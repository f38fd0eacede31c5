"""A model learns what it did not know, goes on exactly where it was, and its result is a model or an adapter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from extractor.chatglm3 import read_dims
from extractor.chatglm3.adapters import read_adapters
from extractor.chatglm3.checkpoint import load_parameters
from extractor.chatglm3.export import export
from extractor.config import ModelConfig
from extractor.errors import OutputError, OutputMismatch
from extractor.tuning import checkpoints
from extractor.tuning.batches import batches
from extractor.tuning.measuring import measure
from extractor.tuning.training import Hooks, Trainer, loss_of, loss_over
from extractor.tuning.tuning import Tuning
from tests.chatglm3.adapters.building import TINY
from tests.tuning.gold import CONTACT, a_tuning, texts


class _Killed(Exception):
    pass


def _hooks(tuning: Tuning, path: Path, batches: int = 10**6) -> Hooks:
    left = [batches]

    def on_batch(loss: float) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _Killed

    def now() -> dict[str, float]:
        return {"loss": loss_over(tuning.trained, tuning._held_out, 600)}

    return Hooks(now, lambda state: checkpoints.save(path, state), on_batch)


def test_what_prompts_share_is_computed_once_and_changes_nothing() -> None:
    tuning = a_tuning(texts(12))
    (batch,) = batches(tuning.targets(0), 10**6, 0, 0)
    (apart,) = batches([replace(each, shared=0) for each in tuning.targets(0)], 10**6, 0, 0)
    assert batch.shared > 30
    assert batch.tokens == apart.tokens - batch.shared * (len(batch.targets) - 1)
    gradients = []
    for each in (batch, apart):
        loss = loss_of(tuning.trained, each)
        gradients.append(torch.autograd.grad(loss, list(tuning.trained.parameters.values())))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_a_batch_asks_one_thing_and_holds_so_many_tokens() -> None:
    tuning = a_tuning(texts(12))
    other = [replace(each, shared=each.shared - 1) for each in tuning.targets(0)[:4]]
    found = batches([*tuning.targets(0), *other], 200, 0, 0)
    assert sum(len(batch.targets) for batch in found) == len(tuning.targets(0)) + 4
    assert all(len({each.instructions for each in batch.targets}) == 1 for batch in found)
    assert all(batch.tokens <= 200 or len(batch.targets) == 1 for batch in found)


def test_a_tuning_that_was_killed_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractor.tuning.training.SAVE_SECONDS", 0.0)  # after each batch
    whole, killed = a_tuning(texts(12), batch_tokens=400), a_tuning(texts(12), batch_tokens=400)
    undisturbed = whole.trainer(tmp_path / "one")
    before = loss_over(whole.trained, whole._held_out, 600)
    undisturbed.run(_hooks(whole, tmp_path / "one"))
    with pytest.raises(_Killed):
        killed.trainer(tmp_path / "other").run(_hooks(killed, tmp_path / "other", 3))
    again = a_tuning(texts(12), batch_tokens=400)
    resumed = again.trainer(tmp_path / "other")
    assert (resumed.state.epoch, resumed.state.batch) != (0, 0)
    resumed.run(_hooks(again, tmp_path / "other"))
    assert resumed.state.history == undisturbed.state.history
    assert undisturbed.state.history[-1]["loss"] < before
    for name, weight in undisturbed.state.best.items():
        assert torch.equal(weight, resumed.state.best[name]), name


def test_embedding_and_output_layer_stay_one(tmp_path: Path) -> None:
    tuning = a_tuning(texts(8))
    tuning.trainer(tmp_path / "none").run(_hooks(tuning, tmp_path / "state"))
    tuning.trained.write(tmp_path / "tuned", {})
    written = load_parameters(tmp_path / "tuned", "float32").state_dict()
    assert torch.equal(written["model.embed_tokens.weight"], written["lm_head.weight"])
    original = load_parameters(tuning.location.path, "float32").state_dict()
    assert not torch.equal(written["lm_head.weight"], original["lm_head.weight"])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")  # of PEFT
def test_a_lora_of_a_chatglm3_and_the_model_that_it_is_merged_into_answer_the_same(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    tuning = a_tuning(texts(8), model=str(TINY), lora=True, rate=0.02)
    before = {name: weight.clone() for name, weight in tuning.trained.model.state_dict().items()}
    trainer = Trainer(tuning.trained, tuning.targets, tuning.schedule, checkpoints.State(""))
    trainer.run(_hooks(tuning, tmp_path / "state"))
    tuning.trained.write(tmp_path / "lora", {})
    after = tuning.trained.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    export(TINY, tmp_path / "merged", "float32", adapters=[tmp_path / "lora"])
    merged = load_parameters(tmp_path / "merged", "float32").state_dict()
    adapter = read_adapters([tmp_path / "lora"], read_dims(TINY))
    for name, weight in load_parameters(TINY, "float32", adapter=adapter).state_dict().items():
        assert torch.equal(weight, merged[name]), name
    model = ModelConfig(str(TINY), precision="float32", device="cpu", adapters=(str(tmp_path / "lora"),))
    beside = measure(tuning.split.held_out, CONTACT, model)
    whole = measure(tuning.split.held_out, CONTACT, replace(model, model=str(tmp_path / "merged"), adapters=()))
    assert beside == whole


def test_it_is_measured_so_many_times_at_most_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractor.tuning.training.MEASURES", 3)
    assert _measured(tmp_path, 7, lambda number: -number) == [2, 4, 6, 7]


def test_it_ends_after_four_measures_that_are_no_better(tmp_path: Path) -> None:
    assert _measured(tmp_path, 9, lambda number: 1.0) == [1, 2, 3, 4, 5]


def _measured(tmp_path: Path, epochs: int, loss: Callable[[int], float]) -> list[float]:
    """Return the epochs after which it is measured, where each measure finds a loss."""
    measured: list[float] = []

    def on_measure(row: dict[str, float]) -> None:
        measured.append(row["epoch"])

    hooks = Hooks(lambda: {"loss": loss(len(measured))}, lambda state: None, on_measure=on_measure)
    a_tuning(texts(3), epochs=epochs).trainer(tmp_path / "none").run(hooks)
    return measured


def test_an_estimate_of_the_time_changes_no_weight(tmp_path: Path) -> None:
    tuning = a_tuning(texts(8))
    before = tuning.trained.copy()
    plan = tuning.plan(tuning.trainer(tmp_path / "none"))
    assert plan.seconds > 0
    assert all(weight.equal(before[name]) for name, weight in tuning.trained.copy().items())


def test_epochs_differ_in_their_documents_and_come_round_again(tmp_path: Path) -> None:
    tuning = a_tuning(texts(8), epochs=9)
    rounds = [{each.ids.tobytes() for each in targets} for targets in map(tuning.targets, range(8))]
    assert all(one != other for at, one in enumerate(rounds) for other in rounds[:at])
    trainer = tuning.trainer(tmp_path / "none")
    seen = [{each.ids.tobytes() for batch in trainer._batches(epoch) for each in batch.targets} for epoch in range(9)]
    assert seen == [*rounds, rounds[0]]


def test_measuring_leaves_the_threads_that_learning_has() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        measure(texts(1), CONTACT, ModelConfig("demo"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_checkpoint_of_another_tuning_is_refused(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "state", checkpoints.State("one"))
    with pytest.raises(OutputMismatch, match="other gold"):
        checkpoints.load(tmp_path / "state", "other")
    (tmp_path / "state").write_bytes(b"torn")
    with pytest.raises(OutputError, match="damaged"):
        checkpoints.load(tmp_path / "state", "one")
