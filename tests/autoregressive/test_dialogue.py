"""DialogueModel: attention, ends, beams, strings, chats: against formulas, enumeration and a reply table."""

import io
import itertools
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.planted import perturb
from tfgen import data, random
from tfgen.autoregressive import DialogueModel
from tfgen.cli import run_models
from tfgen.cli.gallery import save_samples
from tfgen.cli.run_directory import RunDirectory
from tfgen.data.dialogues import reply_table

ROOT = pathlib.Path(__file__).parents[2]
WORDS = ("<end>", "<turn>", "<unknown>", "the", "hi")
HISTORIES = np.array([[3, 1, 2, 0], [2, 0, 0, 0], [0, 0, 0, 0]], np.int32)


def make(**kwargs):
    model = perturb(DialogueModel(**{"units": 5, "embedding": 3} | kwargs), 0.5)
    # XLA draws the same samples, as the conformance tests find, and takes long to compile.
    model.jit_sampler = False
    return model


@pytest.fixture(scope="module")
def model():
    """Four tokens, replies of up to three."""
    return make(num_values=4, length=3)


@pytest.fixture(scope="module")
def speaker():
    return make(vocabulary=WORDS, length=4, memory=9)


def every_reply():
    """All replies of at most three tokens over 0 to 3: x `[40, 3]` and how many tokens count."""
    x, lengths = [], []
    for n in range(4):
        for spoken in itertools.product((1.0, 2.0, 3.0), repeat=n):
            x.append([*spoken, 0.0, 0.0, 0.0][:3])
            lengths.append(min(n + 1, 3))
    return np.array(x, np.float32), np.array(lengths, np.int32)


def told(history, num):
    return np.repeat(history[None], num, axis=0)


def test_attention_is_its_formula(model):
    network, rng = model.network, np.random.default_rng(0)
    h = rng.normal(size=(2, 3, 5)).astype(np.float32)
    outputs = rng.normal(size=(2, 4, 5)).astype(np.float32)
    counts = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
    weights = network.weights_on(h, (outputs, counts)).numpy()
    attended = network.attend(h, (outputs, counts)).numpy()
    query = network.query.kernel.numpy()
    kernel, bias = network.combine.kernel.numpy(), network.combine.bias.numpy()
    for b, t in itertools.product(range(2), range(3)):
        scores = np.array([h[b, t] @ query @ outputs[b, u] for u in range(4) if counts[b, u]])
        expected = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(weights[b, t, : len(scores)], expected, rtol=1e-4)
        assert np.all(weights[b, t, len(scores) :] == 0.0)
        context = sum(w * outputs[b, u] for u, w in enumerate(expected))
        both = np.concatenate([context, h[b, t]])
        np.testing.assert_allclose(attended[b, t], np.tanh(both @ kernel + bias), rtol=1e-4, atol=1e-6)


def test_an_empty_history_is_attended_to_without_weight(model):
    state, memory = model.network.read(tf.zeros([1, 0], tf.int32))
    assert np.all(model.network.weights_on(tf.ones([1, 2, 5]), memory) == 0.0)
    assert all(np.all(part == 0.0) for part in tf.nest.flatten(state))


def test_ended_and_unfinished_replies_add_up_to_one(model):
    x, lengths = every_reply()
    assert len(x) == 1 + 3 + 9 + 27
    for history in HISTORIES:
        counted = model.log_prob(x, told(history, 40), lengths=lengths).numpy()
        np.testing.assert_allclose(np.exp(counted).sum(), 1.0, atol=1e-5)
        # What follows the end is certain, and so whether it counts or not is the same.
        np.testing.assert_allclose(counted, model.log_prob(x, told(history, 40)), rtol=1e-6, atol=1e-6)
    # Words after an end have no probability.
    assert model.log_prob([[0.0, 2.0, 0.0]], told(HISTORIES[0], 1)) < -40.0


def test_filling_up_changes_nothing(model):
    x, _ = every_reply()
    given = model.log_prob(x, told(HISTORIES[0], 40)).numpy()
    longer = np.pad(told(HISTORIES[0], 40), ((0, 0), (0, 5)))
    np.testing.assert_allclose(given, model.log_prob(x, longer), rtol=1e-5)
    np.testing.assert_allclose(given, model.log_prob(x, longer[:, :3]), rtol=1e-5)
    # What follows the first 0 of a history is no part of it: a user's is refused, and the network reads none.
    longer[:, 5:] = 3
    with pytest.raises(ValueError, match="condition must have its zeros after the text"):
        model.log_prob(x, longer)
    np.testing.assert_allclose(given, model.score(x, condition=longer), rtol=1e-5)
    other = model.log_prob(x, told(HISTORIES[1], 40)).numpy()
    assert np.abs(given - other).max() > 0.01


def test_a_token_is_told_of_those_before_it_and_of_the_whole_history():
    """By gradient: each token has a row of the embedding of its own."""
    model = make(num_values=12, layers=2)
    x, history = tf.constant([[4.0, 5, 6, 7]]), tf.constant([[8, 1, 9, 10]])
    with tf.GradientTape(persistent=True) as tape:
        logits = model.raw(x, history)
        each = [tf.reduce_sum(logits[0, t] * np.arange(12.0, dtype=np.float32)) for t in range(4)]
    # One by one: the Jacobian of TensorFlow 2.21 is wrong where a gradient has IndexedSlices.
    rows = [tf.convert_to_tensor(tape.gradient(one, model.network.decoder.table.value)) for one in each]
    told_of = np.abs(rows).sum(-1) > 1e-7
    begin, spoken, heard = told_of[:, 0], told_of[:, 5:9], told_of[:, [9, 2, 10, 11]]
    assert begin.all() and heard.all()
    np.testing.assert_array_equal(spoken, np.tril(np.ones((4, 4), bool), -1))
    assert not told_of[:, [1, 3, 4, 12]].any()


def test_the_samplers_logits_are_the_networks(model, monkeypatch):
    seeds, condition = random.rows(random.as_seed(2), 6), tf.constant(np.repeat(HISTORIES, 2, 0))

    def worst():
        drawn = model.scan(seeds, length=6, condition=condition, with_raw=True)
        return np.abs(drawn["raw"] - model.raw(drawn["x"], condition)).max(), drawn["x"].numpy()

    difference, x = worst()
    assert difference < 1e-5
    assert (x == 0.0).any() and not ((x[:, :-1] == 0.0) & (x[:, 1:] > 0.0)).any()
    right = type(model.network).start
    forgetful = lambda network, history: right(network, history * 0)  # noqa: E731
    monkeypatch.setattr(type(model.network), "start", forgetful)
    assert worst()[0] > 1e-3


@pytest.mark.slow
def test_nothing_follows_the_end_however_hot(model):
    x = model.sample(200, condition=HISTORIES[0], length=8, temperature=50.0, seed=1).numpy()
    ended = np.cumsum(x == 0.0, axis=1) > 0
    assert ended.any(axis=1).mean() > 0.5 and np.all(x[ended] == 0.0)
    # But for words that are known.
    given, mask = np.zeros(8), np.zeros(8)
    given[6], mask[6] = 3.0, 1.0
    x = model.sample(200, condition=HISTORIES[0], length=8, given=given, mask=mask, seed=1).numpy()
    ended = np.cumsum(x == 0.0, axis=1) > 0
    assert np.all(x[:, 6] == 3.0) and np.all(np.delete(x, 6, axis=1)[np.delete(ended, 6, axis=1)] == 0.0)


@pytest.mark.parametrize("normalization", [0.0, 0.6, 1.0])
def test_beams_are_the_best_replies_in_order(model, normalization):
    x, lengths = every_reply()
    found, log_p = (t.numpy() for t in model.beam(HISTORIES, width=42, normalization=normalization))
    for row, history in enumerate(HISTORIES):
        exact = model.log_prob(x, told(history, 40)).numpy()
        order = np.argsort(-exact / lengths**normalization)
        np.testing.assert_array_equal(found[row, :40], x[order])
        np.testing.assert_allclose(log_p[row, :40], exact[order], rtol=1e-4, atol=1e-5)
        assert np.all(np.isneginf(log_p[row, 40:]))


@pytest.mark.slow
def test_narrow_beams(model):
    greedy = model.sample(3, condition=HISTORIES, temperature=0.0, seed=1)
    found, log_p = model.beam(HISTORIES, width=1)
    np.testing.assert_array_equal(found[:, 0], greedy)
    np.testing.assert_allclose(log_p[:, 0], model.log_prob(greedy, HISTORIES), rtol=1e-4)
    found, log_p = model.beam(HISTORIES, width=4)
    for k in range(4):
        np.testing.assert_allclose(log_p[:, k], model.log_prob(found[:, k], HISTORIES), rtol=1e-4)
    assert np.all(np.diff(log_p) <= 0.0) and np.all(log_p[:, 0] >= model.log_prob(greedy, HISTORIES) - 1e-5)
    plain = make(condition="none", num_values=4, length=3)
    x, _ = every_reply()
    exact = plain.log_prob(x).numpy()
    np.testing.assert_array_equal(plain.beam(width=40)[0][0], x[np.argsort(-exact)])


def test_dropout_is_for_training_alone():
    model = DialogueModel(num_values=4, units=40, embedding=30, dropout=0.5)
    fields = {"x": tf.ones([3, 3]), "condition": tf.constant(HISTORIES)}
    (update,) = model.updates()
    losses = [float(update.objective(fields, tf.constant([0, s]), None)[0]) for s in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert np.unique([float(model.validation_metrics(fields, None)["loss"]) for _ in range(2)]).size == 1
    dropped = model.network.decoder.drop(tf.ones([100, 100]), tf.constant([0, 1])).numpy()
    assert set(np.unique(dropped)) == {0.0, 2.0} and abs(dropped.mean() - 1.0) < 0.05


@pytest.mark.slow
def test_strings_in_strings_out(speaker):
    history, turns = "Hi, the <turn> HI", ["Hi, the", "HI"]
    tokens = speaker.condition.encode(history).numpy()
    np.testing.assert_array_equal(tokens, [4, 2, 3, 1, 4, 0, 0, 0, 0])
    np.testing.assert_array_equal(speaker.condition.encode([history, "<end> hi"])[1, :3], [2, 4, 0])
    assert speaker.decode([[3.0, 4.0, 0.0, 3.0], [0.0, 0.0, 0.0, 0.0]]) == ["the hi", ""]
    assert speaker.condition.decode(tokens[None]) == ["hi <unknown> the <turn> hi"]
    for method, x in {
        "greedy": speaker.sample(1, condition=history, temperature=0.0),
        "sample": speaker.sample(1, condition=history, seed=7),
        "beam": speaker.beam([history], normalization=1.0)[0][:, 0],
    }.items():
        answers = {speaker.reply(said, method=method, seed=7) for said in (history, turns)}
        assert answers == set(speaker.decode(x))


@pytest.mark.slow
def test_served_replies_are_those_of_their_seeds(speaker):
    served = tf.function(speaker.signatures()["reply"].function)
    histories = ["hi <turn> the hi", "the", "<end> hi. " * 3]
    seeds = random.rows(random.as_seed(5), 3)
    texts = served(history=tf.constant(histories), seeds=seeds)["text"].numpy()
    x = speaker.sample_rows(seeds, condition=speaker.condition.encode(histories))
    assert [text.decode() for text in texts] == speaker.decode(x)
    for wrong in ("", "hi " * 10):
        with pytest.raises(tf.errors.InvalidArgumentError, match="a history must have 1 to 9 words"):
            served(history=tf.constant([wrong, "hi", "hi"]), seeds=seeds)


@pytest.mark.slow
def test_samples_are_shown_with_what_they_answer(speaker, tmp_path):
    save_samples(speaker, tmp_path, 2, 1, condition="hi <turn> the")
    first, second = (tmp_path / "samples.txt").read_text().split("\n\n----\n\n")
    assert first.startswith("- hi\n- the\n> ") and second.startswith("- hi\n- the\n> ")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.reply(""), "history holds an empty text: give one word or more"),
        (lambda m: m.reply(["hi"] * 6), "history must have 1 to 9 words, got 11: shorten it"),
        (
            lambda m: m.reply("hi", method="best"),
            "method must be one of 'beam', .*, got 'best'",
        ),
        (lambda m: m.beam(["hi"], width=0), "width must be a whole number of at least 1, got 0"),
        (
            lambda m: m.beam(["hi"], normalization=2.0),
            "normalization must be .*, at least 0 and at most 1, got 2.0",
        ),
        (lambda m: m.beam(), "needs a condition"),
        (
            lambda m: m.sample(1, condition=np.ones(10, int)),
            "condition must have at most 9 tokens; .* 10 to 10",
        ),
        (lambda m: m.sample(1, condition=[5, 1]), "condition must hold 0 to 4"),
        (lambda m: m.check_data(data.load("replies")), "takes 5 levels, but replies has"),
        (
            lambda m: DialogueModel(num_values=4).reply("hi"),
            "history must be numbers, got text: .* no vocabulary",
        ),
        (lambda m: DialogueModel(vocabulary=("a", "b", "c")), "must begin with <end>, .*, got a, b, c"),
    ],
)
def test_what_does_not_fit_is_named(speaker, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(speaker)
    assert "\n" not in str(caught.value)


def test_histories_longer_than_the_memory_are_refused_as_data():
    replies = data.load("replies")
    model = DialogueModel(vocabulary=replies.vocabulary, units=4, embedding=3, memory=20)
    with pytest.raises(
        ValueError, match="replies has texts of up to 60 tokens, DialogueModel takes 20: raise --m"
    ):
        model.check_data(replies)
    model.check_data(data.load("replies", window=20))


def test_a_chat_forgets_its_oldest_turns(speaker, monkeypatch, capsys):
    assert speaker.remembered(["hi hi hi hi", "the the", "hi"]) == ["hi hi hi hi", "the the", "hi"]
    assert speaker.remembered(["hi hi hi hi", "the the the", "hi"]) == ["the the the", "hi"]
    assert speaker.remembered(["hi"] * 5) == ["hi"] * speaker.turns
    heard = []
    monkeypatch.setattr(speaker, "reply", lambda turns, **said: heard.append((turns, said)) or "the")
    monkeypatch.setattr(sys, "stdin", io.StringIO("hi\n" + "hi " * 10 + "\n the hi\n\nhi\n"))
    speaker.chat(temperature=0.5, seed=3)
    out = capsys.readouterr().out.splitlines()
    assert [out[0], out[2]] == ["the", "the"] and "1 to 9 words, got 10" in out[1] and len(out) == 3
    assert [turns for turns, _ in heard] == [["hi"], ["hi", "the", "the hi"]]
    assert all(said["method"] == "sample" and said["temperature"] == 0.5 for _, said in heard)
    assert not np.array_equal(heard[0][1]["seed"], heard[1][1]["seed"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The app's run on its own data."""
    directory = tmp_path_factory.mktemp("runs") / "dialogue"
    done = app(f"--run_dir={directory}")
    assert done.returncode == 0, done.stderr
    return directory


def app(*arguments, **keywords):
    command = [sys.executable, "-m", "apps.dialogue", *arguments]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=600, **keywords)


@pytest.mark.slow
@pytest.mark.learn
def test_the_reply_table_is_learned_exactly(trained):
    """Every answer word by word, greedy and by beam search; held-out histories of known questions too."""
    run = RunDirectory(trained)
    model = run_models.restored(run.config(), run, "best")
    table = reply_table()
    expected = [model.text.decode(model.text.encode(reply)) for reply in table.values()]
    condition = model.condition.encode([model.join(history) for history in table])
    greedy = model.sample(len(table), condition=condition, temperature=0.0, seed=0)
    assert model.decode(greedy) == expected
    for normalization in (0.0, 1.0):
        best = model.beam(condition, width=4, normalization=normalization)[0][:, 0]
        assert model.decode(best) == expected
    test = data.load("replies").test
    assert np.exp(model.log_prob(test.x, test.extra["text"])).min() > 0.9


@pytest.mark.slow
@pytest.mark.learn
def test_chat_in_a_pipe(trained):
    said = "What is your name?\nwhat did I ask you ?\n\nnot read\n"
    done = app("chat", f"--run_dir={trained}", input=said)
    assert done.returncode == 0, done.stderr
    assert _answers(done) == ["they call me echo.", "you said: what is your name?"]
    ended = app("chat", f"--run_dir={trained}", "--temperature=0", input="goodbye .")
    assert _answers(ended) == ["goodbye, come back soon."]


def _answers(done):
    """Lines behind the one that names the checkpoint; before it a slow machine says what it is doing."""
    lines = done.stdout.splitlines()
    return lines[next(i for i, line in enumerate(lines) if "checkpoint" in line) + 1 :]


def test_chat_is_a_command_of_the_app():
    helped = app("--help").stdout
    assert "train|sample|evaluate|export|chat" in helped and "chat      answer lines" in helped
