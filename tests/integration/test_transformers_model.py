"""Models from an operator's directory: tiny models of two kinds, with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from agents.captioners.transformers import TransformersModel
from agents.stages.errors import BadAnswer
from tests.garments import dress, jpeg

transformers = pytest.importorskip("transformers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<image>", "a", "red", "blue", "dress"]
PHOTO = jpeg(dress((60, 80)))
TEXT = {
    "vocab_size": len(WORDS), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 64, "bos_token_id": 2, "eos_token_id": 3,
    "pad_token_id": 0,
}  # fmt: skip
VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 32, "patch_size": 16,
}  # fmt: skip
CHAT = (
    "{% for part in messages[0].content %}"
    "{{ '<image>' if part.type == 'image' else part.text }} {% endfor %}"
)


@pytest.fixture
def tokenizer(tmp_path: Path) -> object:
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    return transformers.BertTokenizer(
        vocab=str(tmp_path / "vocab.txt"), extra_special_tokens={"image_token": "<image>"}
    )


@pytest.fixture
def blip(tmp_path: Path, tokenizer: object) -> Path:
    """A model that returns one sentence."""
    images = transformers.BlipImageProcessorPil(size={"height": 32, "width": 32})
    text = {**TEXT, "encoder_hidden_size": 16, "projection_dim": 16, "sep_token_id": 3}
    config = transformers.BlipConfig(text_config=text, vision_config=VISION)
    model = transformers.BlipForConditionalGeneration(config)
    with torch.no_grad():  # the output is always "red"
        model.text_decoder.cls.predictions.bias[WORDS.index("red")] = 100.0
    return saved(tmp_path / "blip", model, transformers.BlipProcessor(images, tokenizer))


@pytest.fixture
def llava(tmp_path: Path, tokenizer: object) -> Path:
    """A chat model."""
    images = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    config = transformers.LlavaConfig(
        text_config={"model_type": "llama", **TEXT, "max_position_embeddings": 4096},
        vision_config={"model_type": "clip_vision_model", **VISION},
        image_token_id=WORDS.index("<image>"),
    )
    processor = transformers.LlavaProcessor(
        images, tokenizer, patch_size=16, vision_feature_select_strategy="default",
        chat_template=CHAT, num_additional_image_tokens=1,
    )  # fmt: skip
    return saved(tmp_path / "llava", transformers.LlavaForConditionalGeneration(config), processor)


def saved(directory: Path, model: object, processor: object) -> Path:
    for each in (model, processor):
        each.save_pretrained(directory)  # type: ignore[attr-defined]
    return directory


def test_a_captioning_model_returns_the_caption(blip: Path) -> None:
    model = TransformersModel(blip)
    assert model.model_id.startswith("transformers/blip@")
    found = model.ask(PHOTO)
    assert found.model == model.model_id
    assert found.needs_review
    assert set(found.caption.split()) == {"red"}


def test_a_chat_models_version_depends_on_its_prompt_and_prose_is_nonsense(llava: Path) -> None:
    model = TransformersModel(llava, prompt="a red dress")
    assert model.version != TransformersModel(llava, prompt="a blue dress").version
    with pytest.raises(BadAnswer) as raised:  # random weights do not write JSON
        model.ask(PHOTO)
    assert raised.value.code == "caption-nonsense"


def test_other_weights_are_another_model(blip: Path) -> None:
    before = TransformersModel(blip)
    config = transformers.BlipConfig.from_pretrained(blip)
    transformers.BlipForConditionalGeneration(config).save_pretrained(blip)
    after = TransformersModel(blip)
    assert before.model_id != after.model_id
    assert before.version != after.version


def test_code_of_the_directorys_own_is_not_run(blip: Path, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    (blip / "modeling_own.py").write_text(f"open({str(trap)!r}, 'w')\nclass Own: ...\n")
    config = json.loads((blip / "config.json").read_text())
    auto = {"AutoConfig": "modeling_own.Own", "AutoModelForImageTextToText": "modeling_own.Own"}
    (blip / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": auto}))
    with pytest.raises(ValueError, match="custom code"):
        TransformersModel(blip)
    assert not trap.exists()


def test_weights_that_could_hold_code_are_not_loaded(blip: Path) -> None:
    torch.save({}, blip / "pytorch_model.bin")
    (blip / "model.safetensors").unlink()
    with pytest.raises((OSError, ValueError)):
        TransformersModel(blip)
