#!/usr/bin/env python3
"""Write one model of random weights at GPT-2's shape (124M, F32) in the formats of all engines.

    make_model.py DIR [--onnx] [--gguf GGUF_PY]

DIR gets config.json, model.safetensors, vocab.json and merges.txt, which libgpt2 and transformers
read; with --onnx model.onnx, model-q8.onnx and model-q4.onnx; with --gguf, the folder of llama.cpp's
Python package, model.gguf.
"""
import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo-model"
N_VOCAB, N_CTX, N_EMBD, N_LAYER, N_HEAD, EPSILON = 50257, 1024, 768, 12, 12, 1e-5
LINEARS = {"attn.c_attn": (N_EMBD, 3 * N_EMBD), "attn.c_proj": (N_EMBD, N_EMBD),
           "mlp.c_fc": (N_EMBD, 4 * N_EMBD), "mlp.c_proj": (4 * N_EMBD, N_EMBD)}
BLOCK = 32      # weights of an input that share a scale


def make_weights():
    """Hugging Face's names and arrays; a linear layer's is [in, out]."""
    generator = np.random.default_rng(124)

    def normal(*shape, mean=0):
        return np.float32(mean) + np.float32(0.02) * generator.standard_normal(shape, np.float32)

    weights = {"wte.weight": normal(N_VOCAB, N_EMBD), "wpe.weight": normal(N_CTX, N_EMBD)}
    norms = ["ln_f"]
    for layer in range(N_LAYER):
        norms += [f"h.{layer}.ln_1", f"h.{layer}.ln_2"]
        for name, (n_in, n_out) in LINEARS.items():
            weights[f"h.{layer}.{name}.weight"] = normal(n_in, n_out)
            weights[f"h.{layer}.{name}.bias"] = normal(n_out)
    for name in norms:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = normal(N_EMBD, mean=1), normal(N_EMBD)
    return weights


def make_vocabulary():
    """GPT-2's number of tokens and merges: those of the demo model, and made-up ones."""
    tokens = list(json.loads((DEMO / "vocab.json").read_text("utf-8")))[:-1]   # without the last one
    merges = (DEMO / "merges.txt").read_text("utf-8").splitlines()[1:]
    known, pairs = set(tokens), ((a, b) for a in tokens[:256] for b in tokens[256:])
    while len(tokens) < N_VOCAB - 1:
        a, b = next(pairs)
        if a + b not in known:
            known.add(a + b)
            tokens.append(a + b)
            merges.append(f"{a} {b}")
    return tokens + ["<|endoftext|>"], merges


def write_vocabulary(tokens, merges, directory):
    (directory / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (directory / "merges.txt").write_text("\n".join(["#version: 0.2"] + merges) + "\n", "utf-8")


def write_hugging_face(weights, directory):
    config = dict(model_type="gpt2", architectures=["GPT2LMHeadModel"], vocab_size=N_VOCAB,
                  n_positions=N_CTX, n_ctx=N_CTX, n_embd=N_EMBD, n_layer=N_LAYER, n_head=N_HEAD,
                  layer_norm_epsilon=EPSILON, activation_function="gelu_new",
                  bos_token_id=50256, eos_token_id=50256)
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, array in weights.items():
        header[f"transformer.{name}"] = dict(dtype="F32", shape=array.shape,
                                             data_offsets=[offset, offset + array.nbytes])
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(directory / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in weights.values():
            file.write(array.tobytes())


def write_gguf(weights, tokens, merges, path, package):
    """llama.cpp's GGUF: its names, and a linear layer's array [out, in]."""
    sys.path.insert(0, str(package))
    import gguf
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_context_length(N_CTX)
    writer.add_embedding_length(N_EMBD)
    writer.add_feed_forward_length(4 * N_EMBD)
    writer.add_block_count(N_LAYER)
    writer.add_head_count(N_HEAD)
    writer.add_layer_norm_eps(EPSILON)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * (N_VOCAB - 1) + [gguf.TokenType.CONTROL])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(N_VOCAB - 1)
    writer.add_eos_token_id(N_VOCAB - 1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, N_LAYER)
    for name, array in weights.items():
        linear = name.startswith("h.") and array.ndim == 2
        writer.add_tensor(names.get_name(f"transformer.{name}", (".weight", ".bias")),
                          np.ascontiguousarray(array.T) if linear else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantise_columns(matrix):
    """[in, out] as 8-bit integers with a scale for each output: those of ONNX Runtime's
    quantize_dynamic(per_channel=True, weight_type=QuantType.QInt8)."""
    scales = np.abs(matrix).max(axis=0) / np.float32(127)
    return np.rint(matrix / scales).astype(np.int8), scales


def quantise_blocks(matrix):
    """[in, out] as 4-bit integers with a scale for each block, by the function of ONNX Runtime's
    MatMulNBitsQuantizer(is_symmetric=True)."""
    from onnxruntime.capi._pybind_state import quantize_matmul_4bits
    n_in, n_out = matrix.shape
    n_blocks = n_in // BLOCK
    packed = np.empty((n_out, n_blocks, BLOCK // 2), np.uint8)
    scales = np.empty((n_out, n_blocks), np.float32)
    zero_points = np.empty((n_out, n_blocks // 2), np.uint8)    # all 8, which is the default
    quantize_matmul_4bits(packed, matrix, scales, zero_points, BLOCK, n_out, n_in, True)
    return packed, scales


def write_onnx(weights, path, weight_type):
    """A graph of ONNX Runtime's own fused operators: the cache stays in place, and the logits are
    those of the rows that are asked for.  With the types q8 and q4 the matrices, of which one is the
    head, are integers; the embeddings stay F32."""
    from onnx import TensorProto, checker, helper, numpy_helper
    nodes, caches, arrays = [], [], dict(weights)

    def add(op, inputs, *outputs, **attributes):
        nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def norm(x, name):
        return add("LayerNormalization", [x, f"{name}.weight", f"{name}.bias"], f"{name}.out",
                   epsilon=EPSILON)

    def quantised(x, matrix, name, bias, output):
        """`matrix` is [in, out], and `name` that of its quantised form."""
        if weight_type == "q8":
            arrays[f"{name}.q8"], arrays[f"{name}.scales"] = quantise_columns(matrix)
            return add("DynamicQuantizeMatMul", [x, f"{name}.q8", f"{name}.scales", "", bias],
                       output, domain="com.microsoft")
        arrays[f"{name}.q4"], arrays[f"{name}.scales"] = quantise_blocks(matrix)
        return add("MatMulNBits", [x, f"{name}.q4", f"{name}.scales", "", "", bias], output,
                   domain="com.microsoft", K=matrix.shape[0], N=matrix.shape[1], bits=4,
                   block_size=BLOCK, accuracy_level=4)

    def linear(x, name):
        matrix, bias, output = f"{name}.weight", f"{name}.bias", f"{name}.out"
        if weight_type == "f32":
            return add("Gemm", [x, matrix, bias], output)
        return quantised(x, arrays.pop(matrix), name, bias, output)

    h = add("Add", [add("Gather", ["wte.weight", "tokens"], "wte.out"),
                    add("Gather", ["wpe.weight", "positions"], "wpe.out")], "embed")
    for i in range(N_LAYER):
        layer = f"h.{i}"
        qkv = linear(norm(h, f"{layer}.ln_1"), f"{layer}.attn.c_attn")
        qkv = add("Reshape", [qkv, "shape"], f"{layer}.qkv")
        context = add("GroupQueryAttention",
                      [qkv, "", "", f"past_k.{i}", f"past_v.{i}", "last", "total"],
                      f"{layer}.context", f"present_k.{i}", f"present_v.{i}",
                      domain="com.microsoft", num_heads=N_HEAD, kv_num_heads=N_HEAD)
        context = add("Reshape", [context, "shape.rows"], f"{layer}.rows")
        h = add("Add", [h, linear(context, f"{layer}.attn.c_proj")], f"{layer}.mid")
        inner = linear(norm(h, f"{layer}.ln_2"), f"{layer}.mlp.c_fc")
        inner = add("FastGelu", [inner], f"{layer}.gelu", domain="com.microsoft")
        h = add("Add", [h, linear(inner, f"{layer}.mlp.c_proj")], f"{layer}.end")
        caches += [f"k.{i}", f"v.{i}"]
    row = norm(add("Gather", [h, "rows"], "row"), "ln_f")
    if weight_type == "f32":
        add("Gemm", [row, "wte.weight"], "logits", transB=1)
    else:
        quantised(row, np.ascontiguousarray(arrays["wte.weight"].T), "head", "", "logits")

    arrays["shape.rows"] = np.array([-1, N_EMBD])
    cache_shape = ["texts", N_HEAD, "n_ctx", N_EMBD // N_HEAD]

    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        nodes, "gpt2",
        [value("tokens", TensorProto.INT64, ["n"]), value("positions", TensorProto.INT64, ["n"]),
         value("shape", TensorProto.INT64, [3]), value("rows", TensorProto.INT64, ["texts"]),
         value("last", TensorProto.INT32, ["texts"]), value("total", TensorProto.INT32, [])]
        + [value(f"past_{name}", TensorProto.FLOAT, cache_shape) for name in caches],
        [value("logits", TensorProto.FLOAT, ["texts", N_VOCAB])]
        + [value(f"present_{name}", TensorProto.FLOAT, cache_shape) for name in caches],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()])
    model = helper.make_model(graph, ir_version=9, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--gguf", type=Path)
    args = parser.parse_args()
    args.directory.mkdir(parents=True, exist_ok=True)
    weights, (tokens, merges) = make_weights(), make_vocabulary()
    write_hugging_face(weights, args.directory)
    write_vocabulary(tokens, merges, args.directory)
    if args.onnx:
        write_onnx(weights, args.directory / "model.onnx", "f32")
        for weight_type in ("q8", "q4"):
            write_onnx(weights, args.directory / f"model-{weight_type}.onnx", weight_type)
    if args.gguf:
        write_gguf(weights, tokens, merges, args.directory / "model.gguf", args.gguf)


if __name__ == "__main__":
    main()
