#!/usr/bin/env python3
"""Encodes images with onnxruntime, as a peer of `cargo bench -p bigrain-benches --bench clip`.

Reads a CLIP folder with the names of Hugging Face (config.json, model.safetensors) and images that
are prepared already (a file of f32, [count, 3, height, width]), writes the graph of the image tower
with the `onnx` package, and runs it on the CPU: same weights, same images.

The peer gets every advantage it can use: the graph is tried in standard operators, as PyTorch exports
it, for onnxruntime's own optimiser to fuse, and in onnxruntime's fused operators (`Attention`,
`SkipLayerNormalization`, `QuickGelu`), each with batches of several sizes; what was fastest is
measured. Weights are pre-packed by the runtime when the session opens, outside the time measured.

    scripts/peers.sh encode                                  # installs what it needs
    python clip_onnx.py --model DIR --images FILE --threads 2

Speaks lines of JSON, as `encode_onnx.py --interactive`: one when it is ready, with the vector of the
first image; then, for each line that it reads, it encodes all images as the line says ({"weights":
"f32"} or "int8", onnxruntime's dynamic quantisation of the same graph) and writes {"images",
"seconds", "cpu"}.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort
from encode_onnx import Graph, linear
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file

VISION = "vision_model"
CONTRIB = "com.microsoft"
# Sizes that are tried, with as many images as the largest.
BATCHES = (1, 4, 16)


class Tower:
    """The image tower, layer by layer, in one kind of operators."""

    def __init__(self, folder, fused):
        vision = json.loads((folder / "config.json").read_text())["vision_config"]
        self.patch = vision["patch_size"]
        self.heads = vision.get("num_attention_heads", 12)
        self.layers = vision.get("num_hidden_layers", 12)
        self.quick = vision.get("hidden_act", "quick_gelu") == "quick_gelu"
        self.tensors = load_file(folder / "model.safetensors")
        self.width = self.tensors[f"{VISION}.embeddings.class_embedding"].shape[0]
        self.graph, self.fused = Graph(), fused

    def model(self):
        """The serialised graph: pixels [n, 3, h, w] -> vectors [n, dims], of any length."""
        x = self.embedded()
        for index in range(self.layers):
            x = self.layer(f"{VISION}.encoder.layers.{index}", f"l{index}", x)
        graph = self.graph
        graph.weight("first", np.array([0], np.int64))
        graph.node("Gather", [x, "first"], "class_rows", axis=1)
        graph.weight("second_axis", np.array([1], np.int64))
        graph.node("Squeeze", ["class_rows", "second_axis"], "row")
        self.norm(f"{VISION}.post_layernorm", "row", "post")
        graph.weight("projection", self.tensors["visual_projection.weight"].T)
        graph.node("MatMul", ["post", "projection"], "vectors")
        body = helper.make_graph(
            graph.nodes, "clip",
            [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, None, None])],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", None])],
            graph.weights,
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(body, opset_imports=opsets, ir_version=9)

    def embedded(self):
        graph, tensors = self.graph, self.tensors
        embeddings = f"{VISION}.embeddings"
        graph.weight("conv", tensors[f"{embeddings}.patch_embedding.weight"])
        strides = [self.patch, self.patch]
        graph.node("Conv", ["pixels", "conv"], "grid", kernel_shape=strides, strides=strides)
        graph.weight("flat", np.array([0, self.width, -1], np.int64))
        graph.node("Reshape", ["grid", "flat"], "columns")
        graph.node("Transpose", ["columns"], "patches", perm=[0, 2, 1])
        graph.weight("class", tensors[f"{embeddings}.class_embedding"].reshape(1, 1, -1))
        graph.node("Shape", ["pixels"], "count", start=0, end=1)
        graph.weight("row_shape", np.array([1, self.width], np.int64))
        graph.node("Concat", ["count", "row_shape"], "class_shape", axis=0)
        graph.node("Expand", ["class", "class_shape"], "classes")
        graph.node("Concat", ["classes", "patches"], "rows", axis=1)
        positions = tensors[f"{embeddings}.position_embedding.weight"]
        graph.weight("positions", positions.reshape(1, *positions.shape))
        graph.node("Add", ["rows", "positions"], "placed")
        return self.norm(f"{VISION}.pre_layrnorm", "placed", "pre")

    def norm(self, key, source, tag):
        graph = self.graph
        graph.weight(f"{tag}_w", self.tensors[f"{key}.weight"])
        graph.weight(f"{tag}_b", self.tensors[f"{key}.bias"])
        return graph.node("LayerNormalization", [source, f"{tag}_w", f"{tag}_b"], tag,
                          axis=-1, epsilon=1e-5)

    def layer(self, key, tag, x):
        graph = self.graph
        normed = self.norm(f"{key}.layer_norm1", x, f"{tag}_n1")
        attend = self.fused_attention if self.fused else self.attention
        context = attend(key, tag, normed)
        out = linear(graph, self.tensors, f"{key}.self_attn.out_proj", context, f"{tag}_o")
        if self.fused:
            norm = f"{key}.layer_norm2"
            graph.weight(f"{tag}_n2_w", self.tensors[f"{norm}.weight"])
            graph.weight(f"{tag}_n2_b", self.tensors[f"{norm}.bias"])
            graph.nodes.append(helper.make_node(
                "SkipLayerNormalization", [out, x, f"{tag}_n2_w", f"{tag}_n2_b"],
                [f"{tag}_n2", "", "", f"{tag}_r1"], domain=CONTRIB, epsilon=1e-5))
            normed, x = f"{tag}_n2", f"{tag}_r1"
        else:
            x = graph.node("Add", [out, x], f"{tag}_r1")
            normed = self.norm(f"{key}.layer_norm2", x, f"{tag}_n2")
        up = linear(graph, self.tensors, f"{key}.mlp.fc1", normed, f"{tag}_up")
        down = linear(graph, self.tensors, f"{key}.mlp.fc2", self.activated(up, tag), f"{tag}_down")
        return graph.node("Add", [down, x], f"{tag}_r2")

    def activated(self, x, tag):
        graph = self.graph
        if not self.quick:
            return graph.node("Gelu", [x], f"{tag}_act", approximate="none")
        if self.fused:
            return graph.node("QuickGelu", [x], f"{tag}_act", domain=CONTRIB, alpha=1.702)
        graph.weight(f"{tag}_alpha", np.array(1.702, np.float32))
        graph.node("Mul", [x, f"{tag}_alpha"], f"{tag}_scaled")
        graph.node("Sigmoid", [f"{tag}_scaled"], f"{tag}_gate")
        return graph.node("Mul", [x, f"{tag}_gate"], f"{tag}_act")

    def attention(self, key, tag, x):
        """As PyTorch exports it."""
        graph, heads, wide = self.graph, self.heads, self.width // self.heads
        shape = graph.weight(f"{tag}_split", np.array([0, 0, heads, wide], np.int64))
        split = {}
        for part in ("q", "k", "v"):
            rows = linear(graph, self.tensors, f"{key}.self_attn.{part}_proj", x, f"{tag}_{part}")
            if part == "q":
                graph.weight(f"{tag}_root", np.array(wide**-0.5, np.float32))
                rows = graph.node("Mul", [rows, f"{tag}_root"], f"{tag}_q_scaled")
            graph.node("Reshape", [rows, shape], f"{tag}_{part}_r")
            order = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
            split[part] = graph.node(
                "Transpose", [f"{tag}_{part}_r"], f"{tag}_{part}_t", perm=order)
        graph.node("MatMul", [split["q"], split["k"]], f"{tag}_qk")
        graph.node("Softmax", [f"{tag}_qk"], f"{tag}_probs", axis=-1)
        graph.node("MatMul", [f"{tag}_probs", split["v"]], f"{tag}_ctx")
        graph.node("Transpose", [f"{tag}_ctx"], f"{tag}_ctx_t", perm=[0, 2, 1, 3])
        graph.weight(f"{tag}_merge", np.array([0, 0, self.width], np.int64))
        return graph.node("Reshape", [f"{tag}_ctx_t", f"{tag}_merge"], f"{tag}_ctx_m")

    def fused_attention(self, key, tag, x):
        graph = self.graph
        parts = [f"{key}.self_attn.{part}_proj" for part in ("q", "k", "v")]
        weights = [self.tensors[f"{part}.weight"].T for part in parts]
        graph.weight(f"{tag}_qkv_w", np.concatenate(weights, axis=1))
        graph.weight(f"{tag}_qkv_b", np.concatenate([self.tensors[f"{p}.bias"] for p in parts]))
        return graph.node("Attention", [x, f"{tag}_qkv_w", f"{tag}_qkv_b"], f"{tag}_ctx",
                          domain=CONTRIB, num_heads=self.heads)


class Peer:
    """A session, and the size of its batches."""

    def __init__(self, model, threads, description):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.description, self.batch = description, 0

    def encode(self, images, batch):
        parts = [self.session.run(None, {"pixels": images[at:at + batch]})[0]
                 for at in range(0, len(images), batch)]
        return np.concatenate(parts)

    def timed(self, images, batch):
        start, cpu = time.perf_counter(), time.process_time()
        self.encode(images, batch)
        return time.perf_counter() - start, time.process_time() - cpu

    def best_time(self, images):
        """Finds the batch that suits it best, and returns the time of an image."""
        images = images[:BATCHES[-1]]
        self.timed(images, 8)
        sizes = [size for size in BATCHES if size <= len(images)]
        times = {size: self.timed(images, size)[0] for size in sizes}
        self.batch = min(times, key=times.get)
        return times[self.batch] / len(images)


def fastest(models, threads, images):
    """Opens each graph and returns the fastest one."""
    peers = [Peer(model, threads, name) for name, model in models.items()]
    return min(peers, key=lambda peer: peer.best_time(images))


def in_int8(model, folder):
    """onnxruntime's dynamic quantisation: weights by channel, activations as they come."""
    source, out = folder / "f32.onnx", folder / "int8.onnx"
    source.write_bytes(model)
    quantize_dynamic(source, out, per_channel=True, weight_type=QuantType.QInt8,
                     op_types_to_quantize=["MatMul", "Attention"],
                     extra_options={"DefaultTensorType": TensorProto.FLOAT})
    return out.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True, help="f32, [count, 3, side, side]")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--int8", action="store_true", help="quantise the graph, too")
    options = parser.parse_args()

    images = np.fromfile(options.images, np.float32)
    images = images.reshape(-1, 3, options.side, options.side)
    graphs = {kind: Tower(options.model, kind == "fused").model().SerializeToString()
              for kind in ("fused", "standard")}
    peers = {"f32": fastest(graphs, options.threads, images)}
    if options.int8:
        kind = peers["f32"].description
        with tempfile.TemporaryDirectory() as folder:
            graph = in_int8(graphs[kind], pathlib.Path(folder))
        peers["int8"] = fastest({kind: graph}, options.threads, images)
    vector = peers["f32"].encode(images[:1], 1)[0]
    print(json.dumps({
        "onnxruntime": ort.__version__, "threads": options.threads,
        "graphs": {name: [peer.description, peer.batch] for name, peer in peers.items()},
        "vector": [float(value) for value in vector],
    }), flush=True)
    for line in sys.stdin:
        peer = peers[json.loads(line)["weights"]]
        seconds, cpu = peer.timed(images, peer.batch)
        print(json.dumps({"images": len(images), "seconds": round(seconds, 6), "cpu": round(cpu, 6)}),
              flush=True)


if __name__ == "__main__":
    main()
