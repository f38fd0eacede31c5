"""A tuning that does not fit is refused before weights are loaded; the estimate counts the layers as they are."""

from __future__ import annotations

import pytest
import torch

from extractor.chatglm3 import read_dims, resolve
from extractor.chatglm3.model_dims import CHATGLM3_6B
from extractor.errors import ModelError
from extractor.tuning.memory import lora_weights, needed_bytes
from extractor.tuning.trainable import load_trainable
from tests.chatglm3.adapters.building import TINY
from tests.tuning.gold import a_tuning, texts


def test_a_tuning_that_does_not_fit_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractor.tuning.memory.free_memory", lambda device: 50_000_000)
    monkeypatch.setattr("extractor.tuning.tuning.load_trainable", None)
    with pytest.raises(ModelError, match=r"takes about 2\.7 GB of memory, and cpu has 0\.1 GB free: .*--batch-tokens"):
        a_tuning(texts(4))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")  # of PEFT
def test_the_weights_of_a_lora_are_counted_as_peft_makes_them() -> None:
    pytest.importorskip("peft")
    location = resolve(str(TINY))
    trained = load_trainable(location, "cpu", lora=True)
    assert lora_weights(read_dims(location.path)) == sum(each.numel() for each in trained.parameters.values())


def test_all_weights_of_the_6b_take_a_large_machine_and_a_lora_a_gpu() -> None:
    assert needed_bytes(CHATGLM3_6B, 2048, False, torch.device("cuda")) > 150e9
    assert 24e9 < needed_bytes(CHATGLM3_6B, 2048, True, torch.device("cuda")) < 40e9
