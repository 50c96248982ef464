"""Tokenizers and text encoders, tiny."""

from __future__ import annotations

import string

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

WIDTH = 32
"""Of the embeddings."""
_SPECIAL = ("<pad>", "</s>", "<bos>", "<unk>")
_PIECES = ("▁", *string.ascii_letters, *string.digits, *string.punctuation, "▁a", "▁the", "▁red", "ing")
VOCABULARY = len(_SPECIAL) + len(_PIECES)


def tokenizer(length: int, *, left: bool = False) -> PreTrainedTokenizerFast:
    """Returns a Unigram tokenizer, mostly of letters, that ends a text as T5's or, `left`, begins it as Gemma's."""
    pieces = [(piece, 0.0) for piece in _SPECIAL] + [(piece, -len(_PIECES) / len(piece)) for piece in _PIECES]
    made = Tokenizer(models.Unigram(pieces, unk_id=_SPECIAL.index("<unk>")))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ("<bos>", _SPECIAL.index("<bos>")) if left else ("</s>", _SPECIAL.index("</s>"))
    made.post_processor = processors.TemplateProcessing(
        single=f"{special[0]} $A" if left else f"$A {special[0]}", special_tokens=[special]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=length,
        padding_side="left" if left else "right",
        pad_token="<pad>",
        eos_token="</s>",
        bos_token="<bos>",
        unk_token="<unk>",
    )


def t5() -> T5EncoderModel:
    """Returns an encoder of two layers."""
    return T5EncoderModel(T5Config(**_SIZES))


def umt5() -> UMT5EncoderModel:
    """Returns an encoder of two layers."""
    return UMT5EncoderModel(UMT5Config(**_SIZES))


_SIZES = {"vocab_size": VOCABULARY, "d_model": WIDTH, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}
