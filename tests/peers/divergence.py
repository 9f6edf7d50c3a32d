"""Kullback-Leibler divergence between two sets of logits, row by row, in FP64 nats."""
import numpy as np


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def mean_kld(reference, other):
    """Mean over rows of KL(reference ‖ other)."""
    assert reference.shape == other.shape
    total = 0.0
    for p, q in zip(reference, other):  # a row at a time: a vocabulary of doubles is large enough
        log_p, log_q = log_softmax(p), log_softmax(q)
        total += float((np.exp(log_p) * (log_p - log_q)).sum())
    return total / len(reference)
