#!/usr/bin/env python3
"""Encodes the lines of a text file with onnxruntime, as a peer of `bigrain encode --bench`.

Reads an unmodified BERT sentence encoder folder (config.json, tokenizer.json, model.safetensors),
writes its graph with the `onnx` package, and runs it in f32 on the CPU: same weights, same texts,
same truncation, mean pooling and normalisation as ours.

The peer gets every advantage it can use:

- the graph is given both in standard operators, for onnxruntime's own optimiser to fuse, and in
  onnxruntime's fused operators (`Attention`, `SkipLayerNormalization`, `BiasGelu`);
  `--graph` picks one (on AVX2 both were equally fast);
- texts are sorted by length, and a batch is cut by its padded tokens (`--batch-tokens`), so little
  padding is computed; without the option several sizes are tried and the best is kept;
- weights are pre-packed by the runtime when the session opens, outside the time measured.

    scripts/peers.sh encode                                  # installs what it needs
    python encode_onnx.py --model DIR --texts FILE --threads 2

Prints one JSON object a pass: {"tokens", "seconds", "cpu", "tokens_per_second"}; "cpu" counts the
seconds of all threads, which a loaded machine disturbs least. With `--interactive`
it runs one pass for each line it reads from standard input, so that a driver can take turns with
another program. A line is JSON and says what to encode:

    {"pass": "sorted"}                        the texts, sorted, in batches of the best size
    {"pass": "padded", "batch": 32}           the texts as they come, padded to the longest of a batch
    {"pass": "equal", "text": T, "count": N}  one text N times
    {"pass": "query", "text": T, "count": N}  one text N times, one at a time: the median time of one
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from tokenizers import Tokenizer


class Graph:
    """Collects nodes and weights of one graph."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, array):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op, inputs, name, domain="", **attributes):
        self.nodes.append(
            helper.make_node(op, inputs, [name], name=f"n_{name}", domain=domain, **attributes)
        )
        return name


def embeddings(graph, tensors, config):
    """Sum of word, position and type rows, then LayerNorm; gives [batch, length, hidden]."""
    word = graph.weight("word", tensors["embeddings.word_embeddings.weight"])
    position = tensors["embeddings.position_embeddings.weight"]
    # Only one text type is ever used, so its row is folded into the positions.
    position = position + tensors["embeddings.token_type_embeddings.weight"][0]
    graph.weight("position", position.astype(np.float32))
    graph.weight("zero", np.array([0], np.int64))
    graph.weight("one", np.array([1], np.int64))
    graph.weight("two", np.array([2], np.int64))
    graph.node("Gather", [word, "input_ids"], "word_rows")
    graph.node("Shape", ["input_ids"], "ids_shape")
    graph.node("Slice", ["ids_shape", "one", "two"], "length")
    graph.node("Slice", ["position", "zero", "length", "zero"], "position_rows")
    graph.node("Add", ["word_rows", "position_rows"], "embedded")
    graph.weight("ln_e_w", tensors["embeddings.LayerNorm.weight"])
    graph.weight("ln_e_b", tensors["embeddings.LayerNorm.bias"])
    return graph.node(
        "LayerNormalization", ["embedded", "ln_e_w", "ln_e_b"], "x",
        axis=-1, epsilon=config["layer_norm_eps"],
    )


def linear(graph, tensors, key, source, tag, bias=True):
    """source @ weight.T (+ bias)."""
    weight = graph.weight(f"{tag}_w", tensors[f"{key}.weight"].T)
    graph.weight(f"{tag}_b", tensors[f"{key}.bias"])
    graph.node("MatMul", [source, weight], f"{tag}_mm")
    return graph.node("Add", [f"{tag}_mm", f"{tag}_b"], tag) if bias else f"{tag}_mm"


def standard_layer(graph, tensors, config, index, x):
    """One layer in standard operators, shaped as PyTorch exports it."""
    heads = config["num_attention_heads"]
    hidden = config["hidden_size"]
    key, tag = f"encoder.layer.{index}", f"l{index}"
    shape = graph.weight(f"{tag}_split", np.array([0, 0, heads, hidden // heads], np.int64))
    split = {}
    for part in ("query", "key", "value"):
        rows = linear(graph, tensors, f"{key}.attention.self.{part}", x, f"{tag}_{part}")
        graph.node("Reshape", [rows, shape], f"{tag}_{part}_r")
        order = [0, 2, 3, 1] if part == "key" else [0, 2, 1, 3]
        split[part] = graph.node("Transpose", [f"{tag}_{part}_r"], f"{tag}_{part}_t", perm=order)
    graph.node("MatMul", [split["query"], split["key"]], f"{tag}_qk")
    graph.weight(f"{tag}_root", np.array(np.sqrt(hidden / heads), np.float32))
    graph.node("Div", [f"{tag}_qk", f"{tag}_root"], f"{tag}_scaled")
    graph.node("Add", [f"{tag}_scaled", "mask_add"], f"{tag}_masked")
    graph.node("Softmax", [f"{tag}_masked"], f"{tag}_probs", axis=-1)
    graph.node("MatMul", [f"{tag}_probs", split["value"]], f"{tag}_ctx")
    graph.node("Transpose", [f"{tag}_ctx"], f"{tag}_ctx_t", perm=[0, 2, 1, 3])
    graph.weight(f"{tag}_merge", np.array([0, 0, hidden], np.int64))
    graph.node("Reshape", [f"{tag}_ctx_t", f"{tag}_merge"], f"{tag}_ctx_m")
    out = linear(graph, tensors, f"{key}.attention.output.dense", f"{tag}_ctx_m", f"{tag}_out")
    graph.node("Add", [out, x], f"{tag}_res1")
    x = layer_norm(graph, tensors, config, f"{key}.attention.output", f"{tag}_res1", f"{tag}_ln1")
    up = linear(graph, tensors, f"{key}.intermediate.dense", x, f"{tag}_up")
    graph.node("Gelu", [up], f"{tag}_act", approximate="none")
    down = linear(graph, tensors, f"{key}.output.dense", f"{tag}_act", f"{tag}_down")
    graph.node("Add", [down, x], f"{tag}_res2")
    return layer_norm(graph, tensors, config, f"{key}.output", f"{tag}_res2", f"{tag}_ln2")


def layer_norm(graph, tensors, config, key, source, tag):
    graph.weight(f"{tag}_w", tensors[f"{key}.LayerNorm.weight"])
    graph.weight(f"{tag}_b", tensors[f"{key}.LayerNorm.bias"])
    return graph.node(
        "LayerNormalization", [source, f"{tag}_w", f"{tag}_b"], tag,
        axis=-1, epsilon=config["layer_norm_eps"],
    )


def fused_layer(graph, tensors, config, index, x):
    """One layer in the operators onnxruntime's BERT optimiser would leave."""
    key, tag, contrib = f"encoder.layer.{index}", f"l{index}", "com.microsoft"
    parts = [f"{key}.attention.self.{part}" for part in ("query", "key", "value")]
    graph.weight(f"{tag}_qkv_w", np.concatenate([tensors[f"{p}.weight"].T for p in parts], axis=1))
    graph.weight(f"{tag}_qkv_b", np.concatenate([tensors[f"{p}.bias"] for p in parts]))
    graph.node(
        "Attention", [x, f"{tag}_qkv_w", f"{tag}_qkv_b", "mask32"], f"{tag}_ctx",
        domain=contrib, num_heads=config["num_attention_heads"],
    )
    out = linear(graph, tensors, f"{key}.attention.output.dense", f"{tag}_ctx", f"{tag}_out", False)
    x = skip_layer_norm(graph, tensors, config, f"{key}.attention.output", out, x, f"{tag}_out", f"{tag}_ln1")
    up = linear(graph, tensors, f"{key}.intermediate.dense", x, f"{tag}_up", False)
    graph.node("BiasGelu", [up, f"{tag}_up_b"], f"{tag}_act", domain=contrib)
    down = linear(graph, tensors, f"{key}.output.dense", f"{tag}_act", f"{tag}_down", False)
    return skip_layer_norm(graph, tensors, config, f"{key}.output", down, x, f"{tag}_down", f"{tag}_ln2")


def skip_layer_norm(graph, tensors, config, key, source, skip, linear_tag, tag):
    graph.weight(f"{tag}_w", tensors[f"{key}.LayerNorm.weight"])
    graph.weight(f"{tag}_b", tensors[f"{key}.LayerNorm.bias"])
    return graph.node(
        "SkipLayerNormalization", [source, skip, f"{tag}_w", f"{tag}_b", f"{linear_tag}_b"], tag,
        domain="com.microsoft", epsilon=config["layer_norm_eps"],
    )


def build_graph(folder, kind):
    """Returns the serialised model: input_ids, attention_mask -> last hidden state."""
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    tensors = {name.removeprefix("bert."): array for name, array in tensors.items()}
    graph = Graph()
    x = embeddings(graph, tensors, config)
    if kind == "fused":
        graph.node("Cast", ["attention_mask"], "mask32", to=TensorProto.INT32)
    else:
        graph.node("Cast", ["attention_mask"], "mask_f", to=TensorProto.FLOAT)
        graph.weight("axes12", np.array([1, 2], np.int64))
        graph.weight("one_f", np.array(1.0, np.float32))
        graph.weight("min_f", np.array(-10000.0, np.float32))
        graph.node("Unsqueeze", ["mask_f", "axes12"], "mask_u")
        graph.node("Sub", ["one_f", "mask_u"], "mask_n")
        graph.node("Mul", ["mask_n", "min_f"], "mask_add")
    layer = fused_layer if kind == "fused" else standard_layer
    for index in range(config["num_hidden_layers"]):
        x = layer(graph, tensors, config, index, x)
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"])
           for n in ("input_ids", "attention_mask")]
    out = helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", "length", config["hidden_size"]])
    body = helper.make_graph(graph.nodes, "bert", ids, [out], graph.weights)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=9).SerializeToString()


class Peer:
    """A session and a tokenizer."""

    def __init__(self, folder, kind, threads):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = ort.InferenceSession(
            build_graph(folder, kind), options, providers=["CPUExecutionProvider"])
        limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length=limit)

    def encode(self, texts, batch_tokens):
        """Encodes sorted by length; returns embeddings [texts, hidden] in the order of `texts`, and
        the real tokens."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        batches, at = [], 0
        while at < len(order):
            batches.append(order[at:at + max(1, batch_tokens // len(ids[order[at]]))])
            at += len(batches[-1])
        return self.run(ids, batches), sum(map(len, ids))

    def encode_as_they_come(self, texts, batch_texts):
        """As `encode`, in batches of so many texts in their order."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        order = list(range(len(ids)))
        batches = [order[at:at + batch_texts] for at in range(0, len(ids), batch_texts)]
        return self.run(ids, batches), sum(map(len, ids))

    def run(self, ids, batches):
        rows = [None] * len(ids)
        for batch in batches:
            length = max(len(ids[text]) for text in batch)
            inputs = np.zeros((len(batch), length), np.int64)
            mask = np.zeros((len(batch), length), np.int64)
            for row, text in enumerate(batch):
                inputs[row, :len(ids[text])] = ids[text]
                mask[row, :len(ids[text])] = 1
            hidden = self.session.run(None, {"input_ids": inputs, "attention_mask": mask})[0]
            weights = mask.astype(np.float32)[:, :, None]
            pooled = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
            pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
            for row, text in enumerate(batch):
                rows[text] = pooled[row]
        return np.stack(rows)

    def timed(self, texts, batch_tokens):
        return timed(lambda: self.encode(texts, batch_tokens))

    def work(self, line, texts, batch_tokens):
        """Does what a line of the driver says; returns tokens, seconds and seconds of all threads."""
        kind = line.get("pass", "sorted")
        if kind == "padded":
            return timed(lambda: self.encode_as_they_come(texts, line["batch"]))
        if kind == "equal":
            return self.timed([line["text"]] * line["count"], batch_tokens)
        if kind == "query":
            passes = [self.timed([line["text"]], batch_tokens) for _ in range(line["count"])]
            return sorted(passes, key=lambda one: one[1])[len(passes) // 2]
        return self.timed(texts, batch_tokens)


def timed(encode):
    start, cpu = time.perf_counter(), time.process_time()
    _, tokens = encode()
    return tokens, time.perf_counter() - start, time.process_time() - cpu


def best_batch_tokens(peer, texts):
    """Times a sample at several batch sizes and returns the fastest."""
    sample = texts[:: max(1, len(texts) // 300)]
    peer.timed(sample, 1024)
    timings = {}
    for size in (256, 512, 1024, 2048, 4096, 8192):
        timings[size] = min(peer.timed(sample, size)[1] for _ in range(2))
    return min(timings, key=timings.get)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="one text a line")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--graph", choices=["fused", "standard"], default="fused")
    parser.add_argument("--batch-tokens", type=int, help="padded tokens a batch; default: best found")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--interactive", action="store_true")
    parser.add_argument("--save", type=pathlib.Path, help="write the embeddings as .npy")
    options = parser.parse_args()

    texts = [line for line in options.texts.read_text().split("\n") if line.strip()]
    peer = Peer(options.model, options.graph, options.threads)
    batch_tokens = options.batch_tokens or best_batch_tokens(peer, texts)
    if options.save:
        np.save(options.save, peer.encode(texts, batch_tokens)[0])
    turns = sys.stdin if options.interactive else ["{}"] * options.passes
    print(json.dumps({"ready": True, "batch_tokens": batch_tokens, "onnxruntime": ort.__version__,
                      "graph": options.graph, "threads": options.threads}), flush=True)
    for line in turns:
        tokens, seconds, cpu = peer.work(json.loads(line), texts, batch_tokens)
        print(json.dumps({"tokens": tokens, "seconds": round(seconds, 6), "cpu": round(cpu, 6),
                          "tokens_per_second": round(tokens / seconds, 1)}), flush=True)


if __name__ == "__main__":
    main()
