#!/usr/bin/env python3
"""Makes the golden sets of model families, torch files and tokenizers; weights are seeded.

    python3 make_goldens.py [FOLDER]      needs torch and transformers (made with 1.13 and 4.28.1)

Each model folder gets config.json, model.safetensors and reference.safetensors: padded inputs, and
what the reference implementation gives for them. Logits are of the class with one label.
"""

import json
import sys
from pathlib import Path
from typing import List

import tokenizers
import torch
import transformers
from safetensors.torch import save_file

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
LENGTHS = [12, 5, 150, 2]
VOCABULARY = 120
# Far from the defaults: a sum of hundreds of small numbers would hide a wrong one.
WIDE = {"initializer_range": 0.15}


def inputs(pad, first, types):
    generator = torch.Generator().manual_seed(5)
    longest = max(LENGTHS)
    ids = torch.randint(first, VOCABULARY, (len(LENGTHS), longest), generator=generator)
    mask = torch.tensor([[1] * n + [0] * (longest - n) for n in LENGTHS])
    ids = ids * mask + pad * (1 - mask)
    given = {"input_ids": ids, "attention_mask": mask}
    if types:
        second = torch.tensor([[0] * (n // 2) + [1] * (longest - n // 2) for n in LENGTHS])
        given["token_type_ids"] = second * mask
    return given


def randomise(model):
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "norm" in name.lower():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
        elif parameter.dim() == 2:
            parameter.data = 0.15 * torch.randn(parameter.shape, generator=generator)


def make(name, model_class, config, given):
    torch.manual_seed(3)
    model = model_class(config).eval()
    randomise(model)
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        out = model(**given, output_hidden_states=True)
    reference = dict(given)
    if "logits" in out:
        reference["logits"] = out.logits
    if out.get("pooler_output") is not None:
        reference["pooler_output"] = out.pooler_output
    # Only the rows of real tokens; one after the other.
    last = out.hidden_states[-1]
    reference["real_rows"] = last[given["attention_mask"].bool()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    save_file({k: v.contiguous() for k, v in reference.items()}, folder / "reference.safetensors")
    said = config.to_diff_dict()
    said["model_type"] = config.model_type
    (folder / "config.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")


def models():
    sizes = dict(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, num_labels=1, max_position_embeddings=160,
    )
    mpnet = transformers.MPNetConfig(**sizes, **WIDE)
    make("mpnet-tiny", transformers.MPNetModel, mpnet, inputs(1, 4, False))
    make("mpnet-cross-tiny", transformers.MPNetForSequenceClassification, mpnet,
         inputs(1, 4, False))
    roberta = transformers.RobertaConfig(**sizes, type_vocab_size=1, layer_norm_eps=1e-5, **WIDE)
    make("roberta-cross-tiny", transformers.RobertaForSequenceClassification, roberta,
         inputs(1, 4, False))
    electra = transformers.ElectraConfig(**sizes, embedding_size=20, **WIDE)
    make("electra-cross-tiny", transformers.ElectraForSequenceClassification, electra,
         inputs(0, 4, True))
    distil = transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=64, num_labels=1,
        max_position_embeddings=160, **WIDE,
    )
    make("distilbert-cross-tiny", transformers.DistilBertForSequenceClassification, distil,
         inputs(0, 4, False))


class ScriptedBlock(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.LayerNorm(3)
        self.narrow = torch.nn.Linear(3, 3).half()

    def forward(self, x):
        return self.norm(x) + self.narrow(x.half()).float()


class Scripted(torch.nn.Module):
    """Nested as OpenAI's CLIP, with attributes that are no tensors."""

    sizes: List[int]

    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.Sequential(ScriptedBlock(), ScriptedBlock())
        self.projection = torch.nn.Parameter(torch.randn(2, 3).t())
        self.logit_scale = torch.nn.Parameter(torch.tensor(2.5))
        self.register_buffer("input_resolution", torch.tensor(224))
        self.sizes, self.ratio, self.title = [2, 300, 70_000], 0.5, "tiny"

    def forward(self, x):
        scale = self.logit_scale.exp() * self.ratio + self.sizes[0] + len(self.title)
        return scale * (self.blocks(x) @ self.projection) + self.input_resolution


def torchscript_file():
    """A program as `torch.jit.save` writes it, and what its tensors hold."""
    folder = OUT / "torch-tiny"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(13)
    module = Scripted()
    torch.jit.script(module).save(str(folder / "model.torchscript-format.pt"))
    expected = {k: v.clone().contiguous() for k, v in module.state_dict().items()}
    save_file(expected, folder / "expected-of-torchscript.safetensors")


def torch_files():
    """One checkpoint with every kind of tensor, in both formats, and what its tensors hold."""
    folder = OUT / "torch-tiny"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(11)
    whole = torch.randn(4, 3)
    tensors = {
        "whole": whole,
        "transposed": whole.t(),
        "row": whole[2],
        "column": whole[:, 1],
        "cube": torch.randn(2, 3, 4).permute(2, 0, 1),
        "half": torch.randn(5).half(),
        "bfloat16": torch.randn(5).bfloat16(),
        "long": torch.arange(7),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
    }
    module = torch.nn.Linear(3, 2)
    checkpoint = {
        "epoch": 3, "lr": 1e-3, "name": "tiny", "best": None,
        "state_dict": {**tensors, "linear": module.state_dict()},
    }
    torch.save(checkpoint, folder / "model.zip-format.bin")
    torch.save(checkpoint, folder / "model.legacy-format.bin",
               _use_new_zipfile_serialization=False)
    expected = {**tensors, **{f"linear.{k}": v for k, v in module.state_dict().items()}}
    save_file({k: v.clone().contiguous() for k, v in expected.items()},
              folder / "expected.safetensors")


TEXTS = [
    "def add(a, b): return a + b",
    "  two  leading spaces",
    "Tabs\tand\nlines\r\n",
    "naïve café — “quotes”",
    "\U0001f980 crab \u65e5\u672c\u8a9e",
    "it's they'll I'm we've",
    "x" * 40,
    "<mask> token </s> inside",
    "1234567890 3.14",
]
TRAINING = ["def add(first, second): return first + second", "the crab's shell",
            "two leading spaces and lines", "they'll have it"] * 8


def byte_level():
    """RoBERTa's files with a small vocabulary, read by its tokenizer written in Python."""
    folder = OUT / "byte-level-bpe"
    folder.mkdir(parents=True, exist_ok=True)
    trainer = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator(TRAINING, vocab_size=400, special_tokens=special)
    trainer.save_model(str(folder))
    # Opened as a folder: only then are special tokens found inside texts.
    reader = transformers.RobertaTokenizer.from_pretrained(folder)
    pairs = [[TEXTS[0], TEXTS[3]], [TEXTS[6], TEXTS[5]]]
    cases = {
        "texts": [{"text": text, "ids": reader(text)["input_ids"]} for text in TEXTS],
        "pairs": [{"texts": pair, "ids": reader(*pair)["input_ids"]} for pair in pairs],
    }
    (folder / "cases.json").write_text(json.dumps(cases) + "\n")


def unigram():
    """A SentencePiece-like tokenizer.json in the shape of XLM-RoBERTa's."""
    folder = OUT / "unigram"
    folder.mkdir(parents=True, exist_ok=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.normalizer = tokenizers.normalizers.Sequence([
        tokenizers.normalizers.NFKC(),
        tokenizers.normalizers.Replace(tokenizers.Regex(" {2,}"), " "),
    ])
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=120, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(TRAINING, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)])
    # As published files are: cut and padded as whoever ran them last did.
    tokenizer.enable_truncation(7)
    tokenizer.enable_padding(length=9, pad_id=1, pad_token="<pad>")
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    cases = {
        "texts": [{"text": text, "ids": tokenizer.encode(text).ids} for text in TEXTS],
        "pairs": [{"texts": [TEXTS[0], TEXTS[3]],
                   "ids": tokenizer.encode(TEXTS[0], TEXTS[3]).ids}],
    }
    (folder / "cases.json").write_text(json.dumps(cases) + "\n")


models()
torch_files()
torchscript_file()
byte_level()
unigram()
