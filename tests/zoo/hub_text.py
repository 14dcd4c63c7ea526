"""Language models as the ``transformers`` library has them, from small configurations."""

import torch
import transformers as hf

from zoo.entry import Entry, tokens

__all__ = ["ENTRIES"]

BERT = {
    "vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 38,
    "max_position_embeddings": 20, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "pad_token_id": 0,
}  # fmt: skip
LLAMA = {
    "vocab_size": 61, "hidden_size": 28, "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2,
    "head_dim": 10, "intermediate_size": 46, "max_position_embeddings": 20, "use_cache": False, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
}  # fmt: skip


def bert():
    return hf.BertForMaskedLM(hf.BertConfig(**BERT))


def bert_classifier():
    return hf.BertForSequenceClassification(hf.BertConfig(**BERT | {"num_labels": 5}))


def roberta():
    return hf.RobertaForSequenceClassification(hf.RobertaConfig(**BERT | {"num_labels": 5}))


def distilbert():
    config = hf.DistilBertConfig(
        vocab_size=61, dim=24, n_layers=2, n_heads=3, hidden_dim=38, max_position_embeddings=20, dropout=0.0,
        attention_dropout=0.0, num_labels=5,
    )  # fmt: skip
    return hf.DistilBertForSequenceClassification(config)


def albert():
    config = hf.AlbertConfig(**BERT | {"embedding_size": 15, "num_labels": 5, "classifier_dropout_prob": 0.0})
    return hf.AlbertForSequenceClassification(config)


def electra():
    return hf.ElectraForPreTraining(hf.ElectraConfig(**BERT | {"embedding_size": 15}))


def t5(gated):
    config = hf.T5Config(
        vocab_size=61, d_model=28, d_kv=7, d_ff=46, num_layers=2, num_heads=4, dropout_rate=0.0, use_cache=False,
        feed_forward_proj="gated-gelu" if gated else "relu", pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
        tie_word_embeddings=not gated,
    )  # fmt: skip
    return hf.T5ForConditionalGeneration(config)


def bart():
    config = hf.BartConfig(
        vocab_size=61, d_model=24, encoder_layers=1, decoder_layers=1, encoder_attention_heads=3,
        decoder_attention_heads=4, encoder_ffn_dim=38, decoder_ffn_dim=44, max_position_embeddings=20, use_cache=False,
        dropout=0.0, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None,
    )  # fmt: skip
    return hf.BartForConditionalGeneration(config)


def gpt2():
    config = hf.GPT2Config(
        vocab_size=61, n_positions=20, n_embd=24, n_layer=2, n_head=3, n_inner=38, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, use_cache=False, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return hf.GPT2LMHeadModel(config)


def neox():
    config = hf.GPTNeoXConfig(
        **{k: v for k, v in LLAMA.items() if k not in ("num_key_value_heads", "head_dim", "hidden_size")},
        hidden_size=48, rotary_pct=0.5, attention_dropout=0.0, hidden_dropout=0.0,
    )  # fmt: skip
    return hf.GPTNeoXForCausalLM(config)


def llama(**changes):
    return hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA | {"hidden_size": 36} | changes))


def mistral():
    return hf.MistralForCausalLM(hf.MistralConfig(**LLAMA, sliding_window=6))


def qwen2():
    settings = {k: v for k, v in LLAMA.items() if k not in ("head_dim", "hidden_size")}
    return hf.Qwen2ForCausalLM(hf.Qwen2Config(**settings, hidden_size=48))


def qwen3():
    return hf.Qwen3ForCausalLM(hf.Qwen3Config(**LLAMA))


def gemma():
    return hf.GemmaForCausalLM(hf.GemmaConfig(**LLAMA))


def masked(batch, size):
    """Some tokens are padding."""
    mask = torch.ones(batch, size, dtype=torch.int64)
    mask[0, -2:] = 0
    return mask


def both(batch, size):
    ids = torch.randint(61, (batch, size + 3))
    return {"input_ids": ids, "decoder_input_ids": torch.randint(61, (batch, size))}


BLOCKS = r"(layers?|albert_layers|block|h)\.\d+\."
BERTS = tokens(60, attention_mask=masked)
ENTRIES = (
    Entry("hf-bert", "BERT, tied head", bert, BERTS, 7, 11, core=BLOCKS),
    Entry("hf-bert-classifier", "BERT, pooler", bert_classifier, BERTS, 7, 11, core=BLOCKS),
    Entry("hf-roberta", "RoBERTa", roberta, tokens(60), 7, 11, core=BLOCKS),
    Entry("hf-distilbert", "DistilBERT", distilbert, BERTS, 7, 11, core=BLOCKS),
    Entry("hf-albert", "one layer for all", albert, tokens(60), 7, 11, core=BLOCKS),
    Entry("hf-electra", "narrow embedding", electra, tokens(60), 7, 11, core=BLOCKS),
    Entry("hf-t5", "RMSNorm, relative positions, tied", lambda: t5(False), both, 6, 9, core=BLOCKS),
    Entry("hf-t5-gated", "RMSNorm, relative positions, gated", lambda: t5(True), both, 6, 9, core=BLOCKS),
    Entry("hf-bart", "encoder, decoder", bart, both, 6, 9, core=BLOCKS),
    Entry("hf-gpt2", "fused qkv, Conv1D", gpt2, tokens(61), 7, 11, core=BLOCKS),
    Entry("hf-neox", "fused qkv, partly rotary", neox, tokens(61), 7, 11, core=BLOCKS),
    Entry("hf-llama", "rotary, grouped heads", llama, tokens(61), 7, 11, core=BLOCKS),
    Entry("hf-llama-square", "heads = head width", lambda: llama(head_dim=6), tokens(61), 7, 11, core=BLOCKS),
    Entry("hf-mistral", "sliding window", mistral, tokens(61), 7, 11, core=BLOCKS),
    Entry("hf-qwen2", "biases", qwen2, tokens(61), 7, 11, core=BLOCKS),
    Entry("hf-qwen3", "norms inside heads", qwen3, tokens(61), 7, 11, core=BLOCKS),
    Entry("hf-gemma", "scale 1 + weight", gemma, tokens(61), 7, 11, core=BLOCKS),
)
