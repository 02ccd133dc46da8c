"""A model directory without weights for Dynamo's mocker: a byte-level tokenizer, a chat template, readable words.

The mocker emits random token ids in [1000, 2000): those ids are English words, taken from Python's own help texts. Ids
0 to 255 are the byte alphabet, so that every input can be encoded. Deterministic for one Python version.
"""

from __future__ import annotations

import collections
import json
import re
from pathlib import Path
from pydoc_data import topics

from grove_operator.api.kinds import Json

FIRST_WORD, WORD_COUNT = 1000, 1000
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
FIRST_SPECIAL = 256
CONTEXT = 4096
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_PRINTABLE = (*range(33, 127), *range(161, 173), *range(174, 256))
_WORD = re.compile(r"(?<![\w`'._])[a-z]{3,12}(?![\w`'._(=])")


def write_model(folder: Path) -> None:
    """Writes the four files of a Hugging Face style model directory into a new folder."""
    folder.mkdir(parents=True)
    files = {
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": _tokenizer_config(),
        "config.json": _config(),
        "generation_config.json": {"bos_token_id": 256, "eos_token_id": [258, 256], "pad_token_id": 256},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def tokenizer() -> Json:
    """The tokenizer: every byte a token, a thousand words, nothing merged."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(),
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": _vocabulary(),
            "merges": [],
        },
    }


def _vocabulary() -> dict[str, int]:
    vocabulary = {character: byte for byte, character in _alphabet().items()}
    for index in range(FIRST_SPECIAL + len(SPECIAL), FIRST_WORD):
        vocabulary[f"<|reserved_{index}|>"] = index
    for offset, word in enumerate(_words()):
        vocabulary[f"\u0120{word}"] = FIRST_WORD + offset
    return vocabulary


def _alphabet() -> dict[int, str]:
    """A printable character for each byte: itself where it is one, else one from 256 on."""
    others = iter(range(256, 512))
    return {byte: chr(byte) if byte in _PRINTABLE else chr(next(others)) for byte in range(256)}


def _words() -> list[str]:
    text = " ".join(topics.topics[key] for key in sorted(topics.topics)).lower()
    counted = collections.Counter(_WORD.findall(text))
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [word for word, _ in ranked][:WORD_COUNT]


def _added_tokens() -> list[Json]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [{"id": FIRST_SPECIAL + i, "content": text, **flags} for i, text in enumerate(SPECIAL)]


def _tokenizer_config() -> Json:
    added = {str(t["id"]): {key: value for key, value in t.items() if key != "id"} for t in _added_tokens()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": added,
        "chat_template": CHAT_TEMPLATE,
    }


def _config() -> Json:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": CONTEXT,
        "vocab_size": FIRST_WORD + WORD_COUNT,
        "bos_token_id": 256,
        "eos_token_id": 258,
        "torch_dtype": "bfloat16",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "use_cache": True,
    }
