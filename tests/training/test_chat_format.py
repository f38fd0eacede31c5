"""What the model is trained on is ChatGLM3's chat format with the bundled prompts, and what is exported its layout."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from training import model
from training.batches import LENGTHS, Source, batches, reply_weights
from training.model import ChatGLM, Shape, attend, checkpoint_config
from training.prompts import SPECIAL, STOP, Codec, answer, render
from training.synth.documents import Asked, example
from training.tokenizer import mixed
from training.train import EMBEDDING, TEMPERATURE, begun, export

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "extractor" / "models" / "demo"
pytestmark = pytest.mark.skipif(not (DEMO / "tokenizer.model").exists(), reason="the demo model is not built yet")


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec.load(DEMO / "tokenizer.model")


def test_a_prompt_is_a_user_turn_with_the_assistant_s_opened(codec: Codec) -> None:
    ids = codec.prompt("手机号18888888888")
    pieces = codec.pieces.get_piece_size()
    assert [i - pieces for i in ids[:3]] == [SPECIAL.index(s) for s in ("[gMASK]", "sop", "<|user|>")]
    assert ids[3:5] == codec.encode("\n")
    assert ids[-1] - pieces == SPECIAL.index("<|assistant|>")


def test_the_weighted_answer_has_the_ids_of_the_whole_answer(codec: Codec) -> None:
    for number in range(200):
        found = example(Random(f"format/{number}"))
        ids, weights = reply_weights(codec, found)
        assert ids == codec.reply(answer(found.gold))
        assert len(ids) == len(weights)
        assert ids[-1] == STOP


def test_a_value_has_the_same_ids_wherever_it_occurs(codec: Codec) -> None:
    for value in ("root", "xiaohua123", "万俟澄", "5,960.00", 'it"s\\x', "Ab-7_z@q.cn"):
        after_label = codec.encode(f"\n账号：{value}，")
        in_quotes = codec.encode(f'\n"{value}"')
        inner = in_quotes[3:-1]
        assert inner == after_label[5:-1]


def test_no_piece_mixes_letters_with_anything_else() -> None:
    assert mixed(DEMO / "tokenizer.model") == []


def test_batches_are_the_same_for_the_same_seed() -> None:
    source = Source(DEMO / "tokenizer.model", 3, 2048, 0, workers=2)
    for first, second in zip(next(batches(source)), next(batches(source)), strict=True):
        assert (first.ids == second.ids).all()
        assert (first.weights == second.weights).all()


def test_the_batches_of_all_workers_have_the_same_length_and_other_examples() -> None:
    one, other = next(batches(Source(DEMO / "tokenizer.model", 3, 2048, 0, workers=2)))
    assert one.ids.shape == other.ids.shape
    assert one.ids.shape[1] in LENGTHS
    assert not (one.ids == other.ids).all()


def test_the_gradients_of_attention_are_those_of_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "_compiled", lambda: model._scores_back)
    torch.manual_seed(0)
    inputs = [torch.randn(2, 4, 37, 16, requires_grad=True) for _ in range(3)]
    ours, theirs = attend(*inputs)[0], F.scaled_dot_product_attention(*inputs, is_causal=True)
    toward = torch.randn_like(ours)
    torch.testing.assert_close(ours, theirs)
    for one, other in zip(*(torch.autograd.grad(out, inputs, toward) for out in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other)


def test_the_book_s_prompt_puts_the_document_first(codec: Codec) -> None:
    text = render("book", "手机号18888888888", (Asked("手机号"), Asked("邮箱")))
    assert text == (
        '手机号18888888888\n\n从上文中，提取"信息"(keyword,content)，包括:"手机号"、"邮箱"类型的实体，'
        "只输出这些实体，不要其他的。输出JSON格式内容"
    )


@pytest.mark.parametrize("name", ["dev", "test", "book"])
def test_the_documents_used_for_measuring_hold_the_values_of_their_gold(name: str) -> None:
    rows = [json.loads(line) for line in (ROOT / "training" / f"{name}.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == {"dev": 42, "test": 18, "book": 1}[name]
    for row in rows:
        fields = json.loads((ROOT / "schemas" / f"{row['schema']}.json").read_text("utf-8"))["properties"]
        assert row["gold"].keys() == fields.keys()
        assert all(value is None or value in row["text"] for value in row["gold"].values())


def test_the_small_model_equals_transformers_glm() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    shape = Shape(64, hidden_size=32, ffn_hidden_size=48, num_layers=2, num_attention_heads=4, kv_channels=8)
    mine = ChatGLM(shape).eval()
    config = transformers.GlmConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-5, partial_rotary_factor=0.5, attention_bias=True,
        max_position_embeddings=128, pad_token_id=0,
    )  # fmt: skip
    theirs = transformers.GlmForCausalLM(config).eval()
    theirs.load_state_dict(renamed(mine.original(), shape))
    ids = torch.randint(0, 64, (2, 40))
    with torch.inference_mode():
        assert torch.allclose(mine.head(mine(ids)), theirs(ids).logits, atol=1e-5)


def test_an_exported_model_is_less_sure_and_keeps_its_output_layer_equal_to_the_embedding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    mine = ChatGLM(Shape(64, hidden_size=32, ffn_hidden_size=48, num_layers=2, num_attention_heads=4, kv_channels=8))
    export(mine, tmp_path / "model", DEMO / "tokenizer.model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    table, output = (weights[f"transformer.{name}.weight"] for name in ("embedding.word_embeddings", "output_layer"))
    assert torch.equal(table, output)
    read = ChatGLM(mine.shape)
    read.load_original(weights)
    ids = torch.randint(0, 64, (2, 20))
    with torch.inference_mode():
        torch.testing.assert_close(read.head(read(ids)) * TEMPERATURE, mine.head(mine(ids)), atol=0.02, rtol=0.02)


def renamed(weights: dict[str, torch.Tensor], shape: Shape) -> dict[str, torch.Tensor]:
    """The design's mapping of tensor names."""
    out = {
        "model.embed_tokens.weight": weights["transformer.embedding.word_embeddings.weight"],
        "lm_head.weight": weights["transformer.output_layer.weight"],
        "model.norm.weight": weights["transformer.encoder.final_layernorm.weight"],
    }
    group = shape.multi_query_group_num * shape.kv_channels
    sizes = [shape.num_attention_heads * shape.kv_channels, group, group]
    for number in range(shape.num_layers):
        old, new = f"transformer.encoder.layers.{number}.", f"model.layers.{number}."
        for kind in ("weight", "bias"):
            parts = weights[f"{old}self_attention.query_key_value.{kind}"].split(sizes)
            for name, part in zip("qkv", parts, strict=True):
                out[f"{new}self_attn.{name}_proj.{kind}"] = part
        for mine, theirs in (
            ("self_attention.dense", "self_attn.o_proj"), ("mlp.dense_h_to_4h", "mlp.gate_up_proj"),
            ("mlp.dense_4h_to_h", "mlp.down_proj"), ("input_layernorm", "input_layernorm"),
            ("post_attention_layernorm", "post_attention_layernorm"),
        ):  # fmt: skip
            out[f"{new}{theirs}.weight"] = weights[f"{old}{mine}.weight"]
    return out


def test_the_exported_config_has_the_original_keys() -> None:
    config = checkpoint_config(Shape(4992))
    assert json.loads(json.dumps(config)) == config
    assert config["model_type"] == "chatglm"
    assert config["padded_vocab_size"] % 64 == 0


def test_with_another_tokenizer_known_pieces_keep_their_row_and_new_ones_are_the_mean_of_their_parts() -> None:
    """That of the tiny reference model is one that the demo model's has hardly a word in common with."""
    other = ROOT / "tests" / "reference" / "chatglm3-tiny" / "tokenizer.model"
    old, new = Codec.load(DEMO / "tokenizer.model"), Codec.load(other)
    rows = load_file(DEMO / "model.safetensors")[EMBEDDING].float()
    carried = begun(DEMO, other)[EMBEDDING]
    assert len(carried) == new.pieces.get_piece_size() + len(SPECIAL)
    for name in SPECIAL:
        assert torch.equal(carried[new.special(name)], rows[old.special(name)])
    texts = {piece: new.pieces.id_to_piece(piece) for piece in range(new.pieces.get_piece_size())}
    shared = {piece: old.pieces.piece_to_id(text) for piece, text in texts.items()}
    shared = {piece: row for piece, row in shared.items() if old.pieces.id_to_piece(row) == texts[piece]}
    assert 256 < len(shared) < len(texts)
    assert all(torch.equal(carried[piece], rows[row]) for piece, row in shared.items())
    letters = next(piece for piece, text in texts.items() if piece not in shared and text.isascii() and text.isalpha())
    parts = old.encode("\n" + texts[letters])[2:]
    assert len(parts) > 1
    torch.testing.assert_close(carried[letters], rows[parts].mean(0))
