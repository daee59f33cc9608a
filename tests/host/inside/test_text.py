"""Text by the host's own encoders against the recording."""

from __future__ import annotations

import pytest
import torch
from recording import error
from safetensors.torch import save_file


@pytest.mark.parametrize("which", ["prompt", "negative"])
def test_t5_of_the_published_folder(pack, text, golden, recipe, which):
    captions, host, encoder = pack("show1_core.captions"), pack("nodes.host"), text("show-1-base")
    prompt = recipe["prompt"] if which == "prompt" else ""
    ids = captions.fit(host.masked_t5(encoder)(captions.preprocess(prompt, False))["input_ids"])
    assert ids == golden[f"t5.{which}.ids"][0].tolist()
    assert error(host.encode_t5(encoder, ids)[0][0], golden[f"t5.{which}.embeds"]) <= 1e-5


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 1e-5), (torch.float8_e4m3fn, 0.15)])
def test_t5_of_a_single_file(pack, models, golden, tmp_path, dtype, tolerance):
    weights, host = pack("show1_core.weights"), pack("nodes.host")
    folder = models / "show-1-base" / "text_encoder"
    tensors = weights.read_tensors(weights.find_weights(folder, "pytorch_model"))
    save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, tmp_path / "t5xxl.safetensors")
    encoder = host.load_text(weights.read_tensors([tmp_path / "t5xxl.safetensors"]), None)
    out = host.encode_t5(encoder, golden["t5.prompt.ids"][0].tolist())[0][0]
    assert error(out, golden["t5.prompt.embeds"]) <= tolerance


@pytest.mark.parametrize("which", ["prompt", "negative"])
def test_clip_by_the_core_node(text, golden, recipe, which):
    encoder = text("show-1-sr2")
    tokens = encoder.tokenize(recipe["prompt"] if which == "prompt" else recipe["refine_negative_prompt"])
    assert [token for token, _ in tokens["h"][0]] == golden[f"clip.{which}.ids"][0].tolist()
    assert error(encoder.encode_from_tokens(tokens), golden[f"clip.{which}.embeds"]) <= 1e-5


@pytest.mark.parametrize("prompt", ["", "x " * 5000, "embedding:../../secret", "(weights:1.3) [too]", "\\(escaped\\)", "a\x00b\n",
                                    "\U0001f600 \u05e9\u05dc\u05d5\u05dd", "C:\\con.txt"])
def test_any_prompt_is_seventy_seven_tokens_and_only_text(pack, text, prompt):
    node = pack("nodes.text").Show1T5Encode
    positive, negative = node.execute(text("show-1-base"), prompt, "").args
    assert positive[0][0].shape == (1, 77, 64) and bool(torch.isfinite(positive[0][0]).all())


def test_an_embedding_stands_among_the_tokens(pack, text, tmp_path, monkeypatch):
    """`embedding:name` in the core's nodes, for a published folder and for a single file."""
    import comfy.sd
    import folder_paths

    monkeypatch.setitem(folder_paths.folder_names_and_paths, "embeddings", ([str(tmp_path)], {".safetensors"}))
    monkeypatch.setattr(comfy.sd, "load_text_encoder_state_dicts", lambda *_, embedding_directory, **__: embedding_directory)
    assert pack("nodes.host").load_text({"text_model.x": torch.zeros(1)}, None) == [str(tmp_path)]
    learned = torch.ones(2, 64)
    save_file({"emb_params": learned}, tmp_path / "learned.safetensors")
    (chunk,), = text("show-1-sr2").tokenize("a cat embedding:learned").values()
    seen = [token for token, _ in chunk if isinstance(token, torch.Tensor)]
    assert len(seen) == 2 and torch.equal(torch.stack(seen), learned)


def test_clip_where_t5_belongs_is_refused(pack, text):
    with pytest.raises(ValueError, match="not a T5 whose attention mask is on"):
        pack("nodes.text").Show1T5Encode.execute(text("show-1-sr2"), "a cat")


def test_a_file_that_is_no_text_encoder_is_refused(pack):
    with pytest.raises(ValueError, match="expected a T5 or a CLIP"):
        pack("nodes.host").load_text({"decoder.up_blocks.0.x": torch.zeros(1)}, None)


@pytest.mark.parametrize("prompt, tokens", [("a cat", None), ("cat " * 76, None), ("cat " * 300, 300)])
def test_a_prompt_that_is_cut_says_so(pack, text, caplog, prompt, tokens):
    """The miniature's tokenizer is the real one: `cat` is one token."""
    pack("nodes.text").Show1T5Encode.execute(text("show-1-base"), prompt, "")
    said = [record.getMessage() for record in caplog.records if "Show-1 T5 Encode" in record.getMessage()]
    assert said == ([] if tokens is None else [
        f"Show-1 T5 Encode: prompt has {tokens} tokens; the first 76 are read, about 60 words."])
