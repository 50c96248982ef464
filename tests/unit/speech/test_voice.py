from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from triton_models.modeling.speech.acoustic import AcousticConfig, AcousticNet, numbers
from triton_models.modeling.speech.letters import LetterNet, LettersConfig, pronounced, spelled
from triton_models.modeling.speech.mix import DUCKED, VOICE_RMS, mixed
from triton_models.modeling.speech.model import SpeechModel, find_speech_model, load_speech_model
from triton_models.modeling.speech.phonemes import PHONEMES, SILENCE, VISEMES
from triton_models.modeling.speech.plan import SPEECH_BEGINS_S, lip_sync_frames

RATE = 24_000


def test_a_plan_is_a_pure_function_of_prompt_seed_and_length(voice: SpeechModel, speech_directory: Path) -> None:
    again = load_speech_model(speech_directory)
    assert again.digest == voice.digest
    prompt = 'a face says "hello mom"'
    assert again.plan(prompt, 3, 5) == voice.plan(prompt, 3, 5)
    assert {voice.plan(prompt, seed, 5).voice for seed in range(9)} == {0, 1, 2}  # type: ignore[union-attr]


def test_speech_begins_where_the_faces_of_the_world_begin(voice: SpeechModel) -> None:
    plan = voice.plan('a man says "hello red"', 0, 5)
    assert plan is not None
    said = plan.phonemes
    assert said[0].start_s == pytest.approx(SPEECH_BEGINS_S)
    assert [phoneme.symbol for phoneme in said] == ["HH", "AH", "L", "OW", "R", "EH", "D"]
    assert all(one.end_s == pytest.approx(two.start_s) for one, two in pairwise(said))


def test_words_that_do_not_fit_are_left_out_and_named(voice: SpeechModel) -> None:
    plan = voice.plan_text("hello mom, hello red. Blue mom.", 0, 1.7)
    assert plan is not None
    words = f"{plan.text} {plan.left_out}".replace(",", "").replace(".", "").split()
    assert words == ["hello", "mom", "hello", "red", "blue", "mom"]
    assert plan.left_out
    assert plan.phonemes[-1].end_s < 1.7


def test_nothing_to_say_or_no_room_for_it(voice: SpeechModel) -> None:
    assert voice.plan("a lake at sunset", 0, 5) is None
    assert voice.plan('he says "Привет"', 0, 5) is None
    assert voice.plan('he says "hello"', 0, 0.7) is None


def test_sentences_are_said_one_after_the_other(voice: SpeechModel) -> None:
    plan = voice.plan_text("Hello. Mom. Red.", 1, 10)
    assert plan is not None
    assert (plan.text, plan.left_out, len(plan.sentences)) == ("hello. mom. red", "", 3)
    ends = [(sentence.begins_frame, sentence.ends_frame) for sentence in plan.sentences]
    assert all(one[1] < two[0] for one, two in pairwise(ends))
    assert [phoneme.symbol for phoneme in plan.phonemes].count(SILENCE) == 2


def test_the_voice_is_silent_outside_its_plan_and_repeats_to_the_bit(voice: SpeechModel) -> None:
    plan = voice.plan_text("hello", 0, 3)
    assert plan is not None
    wave = voice.say(plan, 3 * RATE, seed=4)
    assert wave.shape == (3 * RATE,)
    assert wave.dtype == np.float32
    assert not wave[: int((SPEECH_BEGINS_S - 0.05) * RATE)].any()
    assert wave[int(SPEECH_BEGINS_S * RATE) : int(plan.phonemes[-1].end_s * RATE)].any()
    assert not wave[int((plan.phonemes[-1].end_s + 0.15) * RATE) :].any()
    assert np.array_equal(wave, voice.say(plan, 3 * RATE, seed=4))


def test_lip_frames_follow_the_plan(voice: SpeechModel) -> None:
    plan = voice.plan_text("mom", 0, 3)
    assert plan is not None
    frames = lip_sync_frames(plan, 25, 3)
    assert len(frames) == 75
    assert frames[0].viseme == "rest"
    for frame in frames:
        said = [p for p in plan.phonemes if p.start_s <= frame.time_s < p.end_s]
        assert frame.viseme == VISEMES[said[0].symbol if said else SILENCE][0]
    assert max(frame.aperture for frame in frames) == pytest.approx(1.0)


def test_padding_changes_no_word() -> None:
    torch.manual_seed(0)
    net = LetterNet(LettersConfig(width=16, depth=2)).eval()
    for block in net.stack.blocks:
        torch.nn.init.normal_(block.out.weight)  # type: ignore[arg-type,union-attr]
    alone = pronounced(net, ["cat"])
    assert alone == pronounced(net, ["cat", "international"])[:1]
    with pytest.raises(ValueError, match="substring not found"):
        spelled(["c4t"])


def test_padding_changes_no_sentence() -> None:
    torch.manual_seed(0)
    net = AcousticNet(AcousticConfig(width=16, encoder_depth=1, decoder_depth=1)).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    short, long = numbers(["HH", "AH0"]), numbers(["M", "AA1", "M"])
    together = torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True)
    x, log_frames = net.encode(together, torch.tensor([2, 3]), torch.tensor([1, 0]))
    alone, alone_frames = net.encode(short[None], torch.tensor([2]), torch.tensor([1]))
    assert torch.allclose(log_frames[:1, :2], alone_frames, atol=1e-5)
    mel = net.decode(x, torch.tensor([[3, 2, 0], [4, 4, 4]]))
    assert torch.allclose(mel[:1, :5], net.decode(alone, torch.tensor([[3, 2]])), atol=1e-5)


def test_a_directory_without_a_voice(tmp_path: Path) -> None:
    assert find_speech_model(tmp_path) is None


def test_every_symbol_has_a_viseme() -> None:
    assert len(PHONEMES) == 40
    assert all(0 <= aperture <= 1 and 0 <= width <= 1 for _, aperture, width in VISEMES.values())


def test_the_scene_is_lower_while_somebody_speaks_and_nothing_clips() -> None:
    rng = np.random.default_rng(0)
    scene = (0.3 * rng.standard_normal((2, RATE))).astype(np.float32)
    voice = np.zeros(RATE, np.float32)
    voice[8000:16_000] = np.sin(np.arange(8000) / 10)
    mix = mixed(scene, voice, RATE)
    assert np.array_equal(mix[:, :4000], np.clip(scene[:, :4000], -1, 1)) or np.abs(scene).max() > 0.8
    assert np.abs(mix).max() <= 1
    heard = mix[:, 10_000:14_000].mean(0) @ voice[10_000:14_000] / (voice[10_000:14_000] ** 2).sum()
    assert heard == pytest.approx(VOICE_RMS * np.sqrt(2), rel=0.15)
    background = (mix[:, 10_000:14_000] - heard * voice[10_000:14_000]).std()
    assert background == pytest.approx(DUCKED * 0.3, rel=0.1)


def test_without_a_voice_the_scene_is_left_alone() -> None:
    scene = np.full((2, 100), 0.99, np.float32)
    assert np.array_equal(mixed(scene, np.zeros(100, np.float32), RATE), scene)
