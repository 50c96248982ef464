"""Prompts: normalisation, rules, classifier, and both together."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from services.safety.domain import TEXT_CATEGORIES, decide
from services.safety.settings import _THRESHOLDS
from services.safety.text.check import TextCheck
from services.safety.text.classifier import BUCKETS, DEFAULT_WEIGHTS, TextClassifier, features, save_weights
from services.safety.text.normalise import fold, readings
from services.safety.text.rules import DEFAULT_RULES, RuleBook, RuleFile
from services.safety.training.fit import accuracy, fit
from services.safety.training.grammar import Grammar
from tests.unit.safety.prompts import HARMFUL, HARMLESS
from triton_models.training.world.grammar import caption, sample_scene


@pytest.fixture(scope="module")
def check() -> TextCheck:
    return TextCheck(RuleBook.load(DEFAULT_RULES), TextClassifier.load(DEFAULT_WEIGHTS))


@pytest.mark.parametrize("prompt", HARMLESS)
def test_harmless_prompts_pass(check: TextCheck, prompt: str) -> None:
    assert decide(check(prompt), _THRESHOLDS, "", 0).passed


@pytest.mark.parametrize(("category", "prompt"), HARMFUL)
def test_harmful_prompts_are_flagged(check: TextCheck, category: str, prompt: str) -> None:
    assert category in decide(check(prompt), _THRESHOLDS, "", 0).flagged


def test_the_classifier_finds_what_no_rule_lists(check: TextCheck) -> None:
    prompt = "someone is ripped to pieces, organs spilling out"
    assert RuleBook.load(DEFAULT_RULES).score(readings(prompt))["violence"] < 0.7
    assert check(prompt)["violence"] >= 0.7


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("ＢＯＭＢ", "bomb"),
        ("bо\u200bmb", "bomb"),
        ("b\u0301omb", "bomb"),
        ("b0mb", "bomb"),
        ("b.o.m.b", "bomb"),
        ("b o m b", "bomb"),
        ("booooomb", "bomb"),
        ("k1ll", "kill"),
        ("ki||", "kill"),
        ("$ex", "sex"),
    ],
)
def test_disguises_are_seen_through(disguised: str, plain: str) -> None:
    assert any(plain in reading.split() for reading in readings(f"a {disguised} there"))


def test_the_plain_reading_keeps_numbers() -> None:
    assert readings("A cat, 4K, 24 fps!")[0] == "a cat 4k 24 fps"
    assert fold("Ünïcode") == "unicode"


def test_words_are_matched_whole_and_allowed_phrases_are_left_out() -> None:
    file = RuleFile.model_validate(
        {
            "version": "t",
            "allow": ["bath bomb*"],
            "words": {"bad": ["bomb*", "kill all *"], "far": ["tree"]},
            "rules": {
                "weapons": [{"sets": ["bad"], "score": 0.8}, {"sets": ["bad", "far"], "score": 0.9, "within": 3}]
            },
        }
    )
    book = RuleBook(file)
    scored = {text: book.score([text])["weapons"] for text in ("two bath bombs", "aplomb", "bombs", "kill all cats")}
    assert scored == {"two bath bombs": 0.0, "aplomb": 0.0, "bombs": 0.8, "kill all cats": 0.8}
    assert book.score(["a tree by a bomb"])["weapons"] == 0.9
    assert book.score(["a tree that stands far away from a bomb"])["weapons"] == 0.8


def test_a_rule_about_unknown_words_is_refused() -> None:
    broken = {"version": "t", "allow": [], "words": {}, "rules": {"weapons": [{"sets": ["bad"], "score": 1}]}}
    with pytest.raises(ValidationError, match="bad"):
        RuleFile.model_validate(broken)


def test_weights_of_another_shape_are_refused(tmp_path: object) -> None:
    path = DEFAULT_WEIGHTS.__class__(str(tmp_path)) / "w.safetensors"
    save_weights(path, np.zeros((BUCKETS, 2), np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="shape"):
        TextClassifier.load(path)


def test_features_are_distinct_and_stable() -> None:
    assert features("ab ab") == sorted(set(features("ab ab")))
    assert features("a bomb") == features("a bomb") != features("bomb a")
    assert features("") == []


def test_training_learns_and_can_be_repeated() -> None:
    grammar = Grammar.load()
    examples = grammar.examples(600, seed=5)
    assert examples == grammar.examples(600, seed=5)
    first, second = fit(examples, rounds=40), fit(examples, rounds=40)
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))
    untrained = first._replace(weights_bc=np.zeros_like(first.weights_bc))
    new = grammar.examples(300, seed=6)
    assert accuracy(untrained, new) < 0.7 < accuracy(first, new)


def test_the_shipped_weights_know_new_phrases() -> None:
    classifier = TextClassifier.load(DEFAULT_WEIGHTS)
    examples = Grammar.load().examples(400, seed=9)
    right = 0
    for example in examples:
        scores = classifier.score(readings(example.text)[0])
        right += {name for name in TEXT_CATEGORIES if scores[name] >= 0.7} == set(example.categories)
    assert right / len(examples) > 0.95


def test_what_the_reference_model_was_trained_on_passes_by_far(check: TextCheck) -> None:
    captions = [caption(sample_scene(seed), seed) for seed in range(300)]
    assert max(max(check(text).values()) for text in captions) < 0.35
