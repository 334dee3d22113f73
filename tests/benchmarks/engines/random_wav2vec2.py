"""A wav2vec2 model of base size with random weights: what it hears is nonsense, what it costs is real.

Runs in: the product's Python, `python -m benchmarks.engines.random_wav2vec2 VOCABULARY_FOLDER FOLDER`.

95 million parameters, as in facebook/wav2vec2-base-960h, which needs a hub. Seeded: each run costs the same.
"""

import shutil
import sys
from pathlib import Path

SEED = 4
VOCABULARY_FILES = ("vocab.json", "tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json")


def write_model(vocabulary: Path, folder: Path) -> None:
    """A folder as Hugging Face's transformers opens it, with the letters of another one."""
    import json

    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    torch.manual_seed(SEED)
    letters = json.loads((vocabulary / "vocab.json").read_bytes())
    config = Wav2Vec2Config(vocab_size=len(letters), pad_token_id=letters["<pad>"], attn_implementation="sdpa")
    Wav2Vec2ForCTC(config).eval().save_pretrained(folder)
    for name in VOCABULARY_FILES:
        shutil.copyfile(vocabulary / name, folder / name)


if __name__ == "__main__":
    write_model(Path(sys.argv[1]), Path(sys.argv[2]))
