"""Writes a tiny Llama with random weights as GGUF: about 0.5 MB. Run by hack/model-server in its own environment.

Its answers mean nothing. 2 blocks, embedding 64, 4 heads, feed-forward 128, vocabulary of bytes and printable ASCII.
"""
from __future__ import annotations

import sys

import gguf
import numpy as np

SEED, BLOCKS, WIDTH, HEADS, FEED, CONTEXT = 7, 2, 64, 4, 128, 8192
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # token types of llama.cpp


def vocabulary() -> tuple[list[bytes], list[int]]:
    special = [b"<unk>", b"<s>", b"</s>"]
    raw = [f"<0x{n:02X}>".encode() for n in range(256)]
    normal = ["\u2581".encode(), *(chr(n).encode() for n in range(33, 127))]
    kinds = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * len(raw) + [NORMAL] * len(normal)
    return special + raw + normal, kinds


def write(path: str) -> None:
    tokens, kinds = vocabulary()
    chance = np.random.default_rng(SEED)
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("akeso-tiny-random")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(WIDTH)
    out.add_block_count(BLOCKS)
    out.add_feed_forward_length(FEED)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_vocab_size(len(tokens))
    out.add_file_type(0)
    out.add_tokenizer_model("llama")
    out.add_token_list(tokens)
    out.add_token_scores([-float(n) for n in range(len(tokens))])
    out.add_token_types(kinds)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    out.add_chat_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: ")

    def tensor(name: str, *shape: int) -> None:
        out.add_tensor(name, chance.normal(0, 0.2, shape).astype(np.float32))

    tensor("token_embd.weight", len(tokens), WIDTH)
    tensor("output.weight", len(tokens), WIDTH)
    out.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for n in range(BLOCKS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensor(f"blk.{n}.{part}.weight", WIDTH, WIDTH)
        tensor(f"blk.{n}.ffn_gate.weight", FEED, WIDTH)
        tensor(f"blk.{n}.ffn_up.weight", FEED, WIDTH)
        tensor(f"blk.{n}.ffn_down.weight", WIDTH, FEED)
        for part in ("attn_norm", "ffn_norm"):
            out.add_tensor(f"blk.{n}.{part}.weight", np.ones(WIDTH, np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    write(sys.argv[1])
