"""Which label a voxel gets from a network's channels: activations, argmax, thresholds.

MONAI's ``Activations`` and ``AsDiscrete``. numpy's and torch's argmax over channels are slow
(strided); here a running maximum is compared with one channel after the other, and two channels
are one comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import SpecError
from models.recipe import Finish

Float = NDArray[np.float32]
Labels = NDArray[np.unsignedinteger]
Confidence = NDArray[np.uint8]

MOST_CONFIDENT = 16
"""With more channels than this no confidence is worked out: a softmax of all is dear."""


@dataclass(frozen=True)
class Selection:
    """How labels are chosen from a number of channels.

    Attributes:
        pairs: (channel, label) in order of precedence for thresholds; empty for argmax.
        confident: whether the chosen label's probability is known.
    """

    finish: Finish
    channels: int
    pairs: tuple[tuple[int, int], ...]
    confident: bool

    @classmethod
    def of(cls, finish: Finish, channels: int) -> Selection:
        """What ``finish`` asks of an output of so many channels.

        Raises:
            SpecError: it names a channel that there isn't, or a label that is none.
        """
        pairs: tuple[tuple[int, int], ...] = ()
        if finish.select == "threshold":
            pairs = finish.merge or tuple((n, n + 1) for n in range(channels))
        for channel, label in pairs:
            if not 0 <= channel < channels or label < 1:
                raise SpecError(
                    f"finish.merge: ({channel}, {label}) is no channel and label of a network "
                    f"with {channels} channels; channels count from 0, labels from 1"
                )
        if finish.prompts and len(finish.prompts) != channels:
            raise SpecError(
                f"finish.prompts: {len(finish.prompts)} labels for a network of {channels} channels"
            )
        confident = finish.activation != "none" and channels <= MOST_CONFIDENT
        confident |= bool(finish.prompts)  # one sigmoid whatever their number
        return cls(finish, channels, pairs, confident)

    @property
    def label_type(self) -> type[np.uint8] | type[np.uint16]:
        """Large enough for every label."""
        named = [label for _, label in self.pairs] or self.finish.prompts
        most = max(named, default=self.channels - 1)
        return np.uint8 if most < 256 else np.uint16

    def choose(self, values: Float) -> tuple[Labels, Confidence | None]:
        """Labels and confidence from raw outputs, (channels, ...)."""
        activation = self.finish.activation
        if self.finish.prompts:
            return self.greatest_prompt(values)
        if self.pairs:
            kept = activated(values, activation)
            return self.above([kept[channel] for channel, _ in self.pairs])
        if self.channels == 2 and activation == "softmax":
            return self.difference(softmax_difference(values))
        # A softmax never changes the order; a sigmoid does where it saturates.
        shown = values if activation == "softmax" else activated(values, activation)
        labels = np.zeros(values.shape[1:], self.label_type)
        best = shown[0].copy()
        for channel in range(1, self.channels):
            take_greater(best, labels, shown[channel], channel)
        if not self.confident:
            return labels, None
        if activation == "softmax":
            total = np.zeros_like(best)
            for channel in values:
                total += np.exp(channel - best)
            best = 1 / total
        return labels, confidence(best, labels)

    def greatest_prompt(self, logits: Float) -> tuple[Labels, Confidence | None]:
        """The label of the greatest logit, of equal ones the first; none where all are <= 0."""
        labels = np.zeros(logits.shape[1:], self.label_type)
        best = np.zeros(labels.shape, np.float32)
        for label, values in zip(self.finish.prompts, logits, strict=True):
            take_greater(best, labels, values, label)
        return labels, confidence(sigmoid(best), labels) if self.confident else None

    def above(self, probabilities: list[Float]) -> tuple[Labels, Confidence | None]:
        """From the probabilities of each pair's channel: the first one above the threshold."""
        labels = np.zeros(probabilities[0].shape, self.label_type)
        best = np.zeros(labels.shape, np.float32)
        for (_, label), values in zip(self.pairs[::-1], probabilities[::-1], strict=True):
            # Last to first, so that what comes first has the last word.
            over = values >= np.float32(self.finish.threshold)
            put(labels, over, label)
            best *= ~over
            best += over * values
        return labels, confidence(best, labels) if self.confident else None

    def difference(self, values: Float) -> tuple[Labels, Confidence | None]:
        """From the second channel's probability less the first's, of two; overwrites it."""
        labels: Labels = (values > 0).view(np.uint8)
        if not self.confident:
            return labels, None
        values += 1
        values *= np.float32(0.5)
        return labels, confidence(values, labels)


def activated(values: Float, activation: str) -> Float:
    """``Activations`` along the first axis."""
    if activation == "sigmoid":
        return sigmoid(values)
    if activation == "softmax":
        shifted: Float = values - values.max(axis=0)
        np.exp(shifted, out=shifted)
        shifted /= shifted.sum(axis=0)
        return shifted
    return values


def sigmoid(values: Float) -> Float:
    """1 / (1 + exp(-x)), without overflow."""
    result = np.asarray(np.clip(values, -87.0, 87.0), np.float32)
    np.negative(result, out=result)
    np.exp(result, out=result)
    result += 1
    np.reciprocal(result, out=result)
    return result


def softmax_difference(values: Float) -> Float:
    """Of two channels' softmax the second less the first."""
    return np.asarray(np.tanh((values[1] - values[0]) * np.float32(0.5)), np.float32)


def take_greater(best: Float, labels: Labels, values: Float, label: int) -> None:
    """Where ``values`` are greater than the best so far they become it, and the label theirs."""
    put(labels, values > best, label)
    np.maximum(best, values, out=best)


def put(labels: Labels, where: NDArray[np.bool_], label: int) -> None:
    """``labels[where] = label``, by arithmetic on whole arrays: ten times as fast."""
    labels *= ~where
    labels += np.multiply(where, label, dtype=labels.dtype)


def confidence(probabilities: Float, labels: Labels) -> Confidence:
    """Probability x 255 where there is a label, 0 on the background; overwrites the former."""
    probabilities *= np.float32(255)
    probabilities += np.float32(0.5)
    result = np.empty(labels.shape, np.uint8)
    np.copyto(result, probabilities, casting="unsafe")
    result *= labels != 0
    return result
