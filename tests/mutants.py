"""Breaks the code in small ways, one at a time, and fails if the tests that should notice do not.

python -m tests.mutants              all of them
python -m tests.mutants --only=kl    those whose name contains "kl"

Each mutant is a textual patch to a copy of the tree, and the tests that must fail on it. The tests named are
run once on the copy as it is, where they must pass.
"""

import argparse
import concurrent.futures
import pathlib
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]


class Mutant(NamedTuple):
    """One small fault.

    Args:
      name: What is wrong.
      path: File below the root.
      right: Text that occurs there once.
      wrong: What stands there instead.
      tests: What must notice: pytest arguments.
    """

    name: str
    path: str
    right: str
    wrong: str
    tests: str


CONTRACT, TRAINING = "tests/conformance/test_contract.py", "tests/conformance/test_training.py"
LOOP, SERVING = "tests/training/test_loop.py", "tests/conformance/test_serving.py"
STAGES, STREAMS = "tests/training/test_stages.py", "tests/training/test_passes_and_streams.py"
PIXELS, MIXTURE = "tests/autoregressive/test_pixels.py", "tests/classical/test_gaussian_mixture.py"
AUTO = "tests/autoregressive"
KMEANS, PCA = "tests/classical/test_kmeans.py", "tests/classical/test_probabilistic_pca.py"
START = "tests/classical/test_start.py"
HIDDEN, SEQUENCES = "tests/classical/test_hidden_markov_model.py", "tests/test_sequence_data.py"
QUANTIZER_TESTS = "tests/layers/test_vector_quantizer.py"
VAE_TESTS, RBM_TESTS, GAN_TESTS = (
    "tests/variational/test_vae.py",
    "tests/energy/test_rbm.py",
    "tests/adversarial/test_gan.py",
)

DRAW_TESTS = "tests/variational/test_draw.py"
WORLD_TESTS, WORLD_MODEL_TESTS = (
    "tests/environments/test_bouncing.py",
    "tests/variational/test_world_model.py",
)
MACHINES, GAUSSIAN_RBM = "tests/energy/test_machines.py", "tests/energy/test_gaussian_rbm.py"
NET, DEEP_MACHINE, CONVOLUTIONAL = (
    "tests/energy/test_deep_belief_net.py",
    "tests/energy/test_deep_boltzmann_machine.py",
    "tests/energy/test_convolutional_rbm.py",
)

BAYES, TOPICS = (
    "tests/classical/test_bayesian_gaussian_mixture.py",
    "tests/classical/test_latent_dirichlet_allocation.py",
)

GSN_TESTS, PLUG_TESTS = "tests/denoising/test_gsn.py", "tests/denoising/test_plug_and_play.py"

MUTANTS = (
    Mutant(
        "layers updated one after the other", "tfgen/denoising/gsn.py",
        "for i in (*range(1, len(layers), 2), *range(2, len(layers), 2)):", "for i in range(1, len(layers)):",
        f"{GSN_TESTS} -k papers",
    ),
    Mutant(
        "no noise after the activation", "tfgen/denoising/gsn.py",
        "self.activation(total + scale * before) + scale * after", "self.activation(total + scale * before)",
        f"{GSN_TESTS} -k papers",
    ),
    Mutant(
        "salt without pepper", "tfgen/denoising/gsn.py",
        "level = tf.floor(uniform * (self.law.num_values / max(self.corruption, 1e-6)))",
        "level = tf.zeros_like(x)",
        f"{GSN_TESTS} -k salt",
    ),
    Mutant(
        "known entries that are corrupted", "tfgen/denoising/gsn.py",
        "            replaced &= ~mask", "            replaced &= tf.ones_like(mask)",
        f"{GSN_TESTS} -k 'salt or clamped'",
    ),
    Mutant(
        "a walk that does not go on from where it is", "tfgen/denoising/gsn.py",
        "walking = tf.stop_gradient(draw(distribution, value))", "walking = tf.stop_gradient(x)",
        f"{GSN_TESTS} -k enumerated_one",
    ),
    Mutant(
        "chains of all rows that stop with the shortest", "tfgen/denoising/chain.py",
        "most = tf.reduce_max(", "most = tf.reduce_min(",
        f"{GSN_TESTS} -k frames",
    ),
    Mutant(
        "Parzen windows without their constant", "tfgen/estimators/parzen.py",
        "constants = np.log(len(centers)) + 0.5", "constants = 0.5",
        "tests/estimators/test_parzen.py",
    ),
    Mutant(
        "the prior's term of plug and play the wrong way round", "tfgen/denoising/plug_and_play.py",
        "return self.denoised(h) - h, tape", "return h - self.denoised(h), tape",
        f"{PLUG_TESTS} -k papers",
    ),
    Mutant(
        "noise of a step in its variance", "tfgen/denoising/plug_and_play.py",
        "temperature * self.epsilon3 * noise", "temperature * self.epsilon3**2 * noise",
        f"{PLUG_TESTS} -k 'papers or given_the_class'",
    ),
    Mutant(
        "codes that are told from themselves without noise", "tfgen/denoising/plug_and_play.py",
        "self.denoised(noisy) - h", "self.denoised(h) - h",
        f"{PLUG_TESTS} -k exact_score",
    ),
    Mutant(
        "levels that no gradient passes", "tfgen/denoising/condition.py",
        "x + tf.stop_gradient(round_levels(x, self.space) - x)", "round_levels(x, self.space)",
        f"{PLUG_TESTS} -k nearest",
    ),
    Mutant(
        "a rare class without a label", "tfgen/data/splits.py",
        "quota = np.maximum(1, np.floor(share)).astype(int)", "quota = np.floor(share).astype(int)",
        "tests/test_data.py -k 'rare or few_labels'",
    ),
    Mutant(
        "a stream lost when examples are taken", "tfgen/data/examples.py",
        "            {key: value[index] for key, value in self.extra.items()},\n            self.streams,",
        "            {key: value[index] for key, value in self.extra.items()},",
        "tests/test_data.py -k streams_stay",
    ),
    Mutant(
        "a test split in capitals that is trained on", "tfgen/data/folder.py",
        "re.findall(r\"[^\\W\\d_]+|\\d+\", parted.lower())", "re.findall(r\"[^\\W\\d_]+|\\d+\", parted)",
        "tests/test_folder_data.py",
    ),
    Mutant(
        "classes 0, 10, 2 in the order of their letters", "tfgen/data/meaning.py",
        "sorted(names, key=lambda name: (values[name], name))", "sorted(names)",
        "tests/test_folder_data.py",
    ),
    Mutant(
        "the table's own statistics instead of the training split's", "tfgen/data/arrays.py",
        "_moments(parts[0].x)", "_moments(np.concatenate([p.x for p in parts]))",
        "tests/test_table_data.py",
    ),
    Mutant(
        "transparent pixels that show what lies behind their alpha", "tfgen/data/images.py",
        "laid.alpha_composite(with_alpha)", "laid.paste(with_alpha)",
        "tests/test_image_data.py",
    ),
    Mutant(
        "a byte order mark that is a symbol", "tfgen/data/reading.py",
        "text.removeprefix(\"\\ufeff\").replace", "text.replace",
        "tests/test_text_data.py",
    ),
    Mutant(
        "floats of 16 bits clipped in silence", "tfgen/data/audio.py",
        "    if beyond > _MOST_CLIPPED:", "    if beyond > 1.0:",
        "tests/test_audio_data.py",
    ),
    Mutant(
        "samples of a table in standard deviations", "tfgen/cli/gallery.py",
        "    if model.kind in (\"points\", \"numbers\"):\n        x = meaning.original(x)\n", "",
        "tests/test_own_data.py -k units",
    ),
    Mutant(
        "a default binarization that reaches other data", "tfgen/cli/app.py",
        "            values[\"binarize\"].value = \"none\"", "            pass",
        "tests/test_own_data.py -k 'default or silence'",
    ),
    Mutant(
        "a bound of the free energy called nats", "tfgen/evaluation/report.py",
        'seed, "nats_bound", _bound', 'seed, "nats", _bound',
        "tests/evaluation/test_report.py -k never_called",
    ),
    Mutant(
        "samples under the training split's conditions", "tfgen/evaluation/sample_report.py",
        "data.test.field(model.condition.kind)", "data.train.field(model.condition.kind)",
        "tests/evaluation/test_report.py -k conditions_of_the_test_split",
    ),
    Mutant(
        "means that lie behind other samples", "tfgen/variational/latent_variable.py",
        'mean = self.mean_rows(random.rows(seed, num))', 'mean = self.mean_rows(random.rows(seed + 1, num))',
        "tests/test_gallery.py -k means_behind",
    ),
    Mutant(
        "pictures: samples called data", "tfgen/cli/gallery.py",
        "panels = [real, samples]", "panels = [samples, real]",
        "tests/test_gallery.py -k samples_stand_beside",
    ),
    Mutant(
        "pictures: examples of any label beside those of one", "tfgen/cli/gallery.py",
        "each = [np.flatnonzero([c == name for c in panel.captions or ()]) for name in names]",
        "each = np.array_split(np.arange(len(panel.x)), len(names))",
        "tests/test_gallery.py -k labels_have_a_row",
    ),
    Mutant(
        "pictures: the value of a loss that only has the right gradient", "tfgen/cli/gallery.py",
        'if scalar == "loss" and update in surrogates:', 'if scalar == "none" and update in surrogates:',
        "tests/test_gallery.py -k one_quantity_an_axis",
    ),
    Mutant(
        "pictures: interpolations that end elsewhere", "tfgen/variational/report.py",
        "weight = tf.linspace(0.0, 1.0, steps)[:, None]", "weight = tf.linspace(0.0, 0.9, steps)[:, None]",
        "tests/test_gallery.py -k interpolations_of_the_vae",
    ),
    Mutant(
        "pictures: a plane of latent variables upside down", "tfgen/variational/report.py",
        "tf.meshgrid(z, z[::-1])", "tf.meshgrid(z, z)",
        "tests/test_gallery.py -k two_latent_variables",
    ),
    Mutant(
        "charts: ellipses of variances", "tfgen/media/charts.py",
        "circle = deviations * np.stack", "circle = deviations**2 * np.stack",
        "tests/test_gallery.py -k two_standard_deviations",
    ),
    Mutant(
        "pictures: words of handwriting beyond their cells", "tfgen/media/ink.py",
        "scales = np.minimum(largest, min(float(np.median(usual)), 60.0))",
        "scales = np.full(count, min(float(np.median(usual)), 60.0))",
        "tests/test_ink.py -k whole_within",
    ),
    Mutant(
        "pictures: large images at their full size", "tfgen/media/pictures.py",
        "        if room >= few or across == down == 1 + gap:", "        if True:",
        "tests/test_pictures.py -k large_images",
    ),
    Mutant(
        "another run's model without its weights", "tfgen/cli/commands.py",
        "held = {name: restored(stored, source, None) for name, (source, stored) in sources.items()}",
        "held = {name: build(stored) for name, (source, stored) in sources.items()}",
        "tests/test_cli.py -k another_runs_model",
    ),
    Mutant(
        "a held model whose weights are lost before the first checkpoint", "tfgen/cli/run_models.py",
        'held[name].load_weights(directory / f"{name}.weights.h5")', "held[name].reset_metrics()",
        "tests/test_cli.py -k another_runs_model",
    ),
    Mutant(
        "log Z that two estimates contradict, in silence", "tfgen/evaluation/report.py",
        'above["low"] <= below.get', 'above["low"] >= below.get',
        "tests/evaluation/test_report.py -k another_contradicts",
    ),
    Mutant(
        "reverse annealing that sees no example", "tfgen/energy/energy_model.py",
        "if begun is not None:", "if False:",
        "tests/energy/test_rbm.py -k passes_by",
    ),
    Mutant(
        "chains that all begin at data", "tfgen/energy/energy_model.py",
        "even = number[:, None] % 2 == 0", "even = number[:, None] >= 0",
        "tests/energy/test_deep_boltzmann_machine.py -k doubles_what",
    ),
    Mutant(
        "weights that are no numbers, drawn and saved", "tfgen/training/loop.py",
        "if lost or math.isnan(loss):", "if math.isnan(loss):",
        "tests/training/test_loop.py -k without_numbers",
    ),
    Mutant(
        "a validation loss that is no number, taken for one", "tfgen/training/loop.py",
        "if lost or math.isnan(loss):", "if lost:",
        "tests/training/test_loop.py -k without_numbers",
    ),
    Mutant(
        "a preset's optimizer taken for a name", "tfgen/cli/flagset.py",
        "        return _Optimizer().parse(optimizer)", '        return {"name": optimizer}',
        "tests/test_cli.py -k every_preset",
    ),
    Mutant(
        "a path that begins at fair coins, far from data", "tfgen/energy/deep_boltzmann_machine.py",
        "{name: LogOdds(share) for name, share in rates.items()}", "{}",
        f"{DEEP_MACHINE} -k fair_coins",
    ),
    Mutant(
        "rates that follow no data", "tfgen/energy/energy_model.py",
        "*self.rates.values()]", "]",
        f"{DEEP_MACHINE} -k rates_follow",
    ),
    Mutant(
        "offsets that move without the biases", "tfgen/energy/joint.py",
        "self.units[name].bias.assign_add(rise)", "pass",
        f"{DEEP_MACHINE} -k density_stays",
    ),
    Mutant(
        "a classifier that forgets the offsets", "tfgen/energy/deep_boltzmann_machine.py",
        "self.joint.bias_without_offsets(name)", "self.joint.units[name].bias.value",
        f"{DEEP_MACHINE} -k classifier_begins",
    ),
    Mutant(
        "a mean field that begins with what v alone says", "tfgen/energy/joint.py",
        "mean(times * heard, beta)", "mean(heard, beta)",
        "tests/energy/test_deep_boltzmann_machine.py -k not_yet_known",
    ),
    Mutant(
        "a worker that leaves while another needs it", "tfgen/training/loop.py",
        "    run.workers.part()\n    return history", "    return history",
        "tests/training/test_processes.py -k may_be_lost",
    ),
    Mutant(
        "a worker that may be lost at no time", "tfgen/training/strategies.py",
        "with contextlib.suppress(*LOST):", "with contextlib.nullcontext():",
        "tests/training/test_processes.py -k may_be_lost",
    ),
    Mutant(
        "a training that forgets the weights it begins with", "tfgen/training/loop.py",
        "                variable.assign(value)", "                variable.shape",
        "tests/test_cli.py -k begins_with_another_runs_weights",
    ),
    Mutant(
        "weights of another run that a model's own beginning writes over", "tfgen/training/loop.py",
        "        if stage.number == 0:\n            for variable, value in self.start:",
        "        if stage.number == 0 and not begins:\n            for variable, value in self.start:",
        "tests/test_cli.py -k gives_way_to_another_runs",
    ),
    Mutant(
        "another run's weights in the place of a given model's", "tfgen/cli/run_models.py",
        "if fits and id(variable) not in own:", "if fits:",
        "tests/test_cli.py -k keeps_the_models_it_is_given",
    ),
    Mutant(
        "a preset that a resumed run ignores in silence", "tfgen/cli/app.py",
        "(values[n].present or n in preset)", "values[n].present",
        "tests/test_cli.py -k presets_of_a_resumed",
    ),
    Mutant(
        "a sweep whose best setting is its worst", "tfgen/cli/sweep_report.py",
        "(-1.0 if self.highest else 1.0)", "(1.0 if self.highest else -1.0)",
        "tests/test_sweep.py -k choice_of_the_validation",
    ),
    Mutant(
        "a validation figure of other weights than those that are tested", "tfgen/cli/records.py",
        'if row["step"] <= self.report["step"]]', "]",
        "tests/test_sweep.py -k weights_that_are_tested",
    ),
    Mutant(
        "a finished run of a sweep that is trained again", "tfgen/cli/sweep.py",
        'if run.holds_run and run.config().get("finished") is not None:', "if False:",
        "tests/test_sweep.py -k fails_ends_no_other",
    ),
    Mutant(
        "the deviation of the population instead of the sample's", "tfgen/evaluation/comparison.py",
        "np.std(values, ddof=1)", "np.std(values)",
        "tests/test_sweep.py -k choice_of_the_validation",
    ),
    Mutant(
        "figures on different data side by side without a word", "tfgen/cli/compare.py",
        "if len(by_print) == 1:", "if by_print:",
        "tests/test_compare.py -k other_data_are_flagged",
    ),
    Mutant(
        "a paired difference with its sign changed", "tfgen/cli/compare.py",
        "found = interval(other - nats)", "found = interval(nats - other)",
        "tests/test_compare.py -k differences_are_those",
    ),
    Mutant(
        "ten times the same draw of samples", "tfgen/evaluation/sample_report.py",
        "(random.fold_in(seed, _AT_MOST, draw) for", "(seed for",
        "tests/evaluation/test_report.py -k means_over_draws",
    ),
    Mutant(
        "a mask that shows the pixel itself", "tfgen/layers/masked.py",
        'later = np.greater if mask_type == "A" else np.greater_equal', "later = np.greater_equal",
        f"{CONTRACT} -k 'sum_to_one and PixelCNN'",
    ),
    Mutant(
        "a mask that shows the next pixel", "tfgen/layers/masked.py",
        "mask[row, :center] = 1.0", "mask[row, : center + 2] = 1.0",
        f"{CONTRACT} -k 'sum_to_one and PixelCNN'",
    ),
    Mutant(
        "a mask that is applied nowhere", "tfgen/layers/masked.py",
        "return tf.cast(self.kernel, self.compute_dtype) * self.mask",
        "return tf.cast(self.kernel, self.compute_dtype)",
        f"{CONTRACT} -k 'sum_to_one and PixelCNN'",
    ),
    Mutant(
        "a walk off by one row", "tfgen/autoregressive/pixels/pixel_model.py",
        'rows = tf.concat([rows[1:], read(drawn["x"])[None]], axis=0)',
        'rows = tf.concat([read(drawn["x"])[None], rows[:-1]], axis=0)',
        f"{PIXELS} -k 'whole_network and PixelCNN-0'",
    ),
    Mutant(
        "a walk that forgets the left neighbor", "tfgen/autoregressive/pixels/pixel_cnn.py",
        "return tf.concat([left[..., hidden:], kept], axis=-1)", "return left * 1.0",
        f"{PIXELS} -k 'whole_network and PixelCNN-0'",
    ),
    Mutant(
        "a walk that forgets the condition", "tfgen/layers/masked.py",
        "bias += self.condition(condition)", "bias += 0.0 * self.condition(condition)",
        f"{PIXELS} -k 'any_condition and PixelCNN-1'",
    ),
    Mutant(
        "a walk that forgets the location", "tfgen/layers/masked.py",
        "return ByPixel(above, beside, bias, position, by_place)",
        "return ByPixel(above, beside, bias, None, by_place)",
        f"{PIXELS} -k 'any_condition and PixelCNN-1'",
    ),
    Mutant(
        "a walk that takes each row for the one above", "tfgen/layers/masked.py",
        "(rows[row] + columns)", "(rows[row - 1] + columns)",
        f"{PIXELS} -k 'any_condition and Gated'",
    ),
    Mutant(
        "right states told the location of the left ones", "tfgen/autoregressive/pixels/pixel_rnn.py",
        "+ inputs.bias_of(row)[..., 4 * units :]", "+ inputs.bias_of(row)[..., : 4 * units]",
        f"{PIXELS} -k 'any_condition and diagonal'",
    ),
    Mutant(
        "a stream from above that takes each row for the first", "tfgen/autoregressive/pixels/two_streams.py",
        "[:, 0] + convolution.bias_of(number)", "[:, 0] + convolution.bias_of(0)",
        f"{PIXELS} -k 'whole_network and PlusPlus-0'",
    ),
    Mutant(
        "groups that do not know where they are", "tfgen/autoregressive/pixels/multiscale_pixel_cnn.py",
        "h += self.position.map()", "h += 0.0 * self.position.map()",
        f"{PIXELS} -k 'reaches_every_weight and MultiScale'",
    ),
    Mutant(
        "a grid of filters off its center by half a stride", "tfgen/networks/attention.py",
        "dtype=tf.float32) - grid / 2 - 0.5", "dtype=tf.float32) - grid / 2",
        "tests/networks/test_attention.py -k equations",
    ),
    Mutant(
        "a grid of N filters whose stride is for N + 1", "tfgen/networks/attention.py",
        "/ max(grid - 1, 1) * tf.exp", "/ grid * tf.exp",
        "tests/networks/test_attention.py -k equations",
    ),
    Mutant(
        "a canvas whose error has the wrong sign", "tfgen/variational/draw.py",
        'error = x - self._planes_of(self.picture(state["canvas"]).mean())',
        'error = self._planes_of(self.picture(state["canvas"]).mean()) - x',
        f"{DRAW_TESTS} -k 'equations or own_values'",
    ),
    Mutant(
        "a canvas that begins as the mean of channels mixed up", "tfgen/variational/draw.py",
        "np.transpose(x.sum(0), (0, 2, 1))", "x.sum(0)",
        f"{DRAW_TESTS} -k mean_picture",
    ),
    Mutant(
        "a step of DRAW that sees its own noise's scale squared", "tfgen/variational/draw.py",
        'return state | {"encoder": encoder}, loc, tf.exp(log_scale)',
        'return state | {"encoder": encoder}, loc, tf.exp(2.0 * log_scale)',
        f"{DRAW_TESTS} -k equations",
    ),
    Mutant(
        "attention that listens to what fills a caption up", "tfgen/networks/attention.py",
        "tf.where(inside, scores, -1e9)", "scores",
        "tests/variational/test_align_draw.py -k attention_over_words",
    ),
    Mutant(
        "a caption read twice in the same direction", "tfgen/layers/text_encoder.py",
        "tf.reverse_sequence(x, lengths, seq_axis=1), lengths=lengths", "x, lengths=lengths",
        "tests/variational/test_align_draw.py -k both_directions",
    ),
    Mutant(
        "a prior that is not standard at the first step", "tfgen/variational/align_draw.py",
        "tf.minimum(tf.range(self.latent_shape[0], dtype=tf.float32), 1.0)",
        "tf.ones([self.latent_shape[0]])",
        "tests/variational/test_align_draw.py -k paths_are_those",
    ),
    Mutant(
        "captions held out that are trained on", "tfgen/data/captioned_digits.py",
        "random.randint(1, len(PLACES), count)", "random.randint(0, len(PLACES), count)",
        "tests/test_captioned_digits.py -k combinations",
    ),
    Mutant(
        "a KL along paths that is not averaged over them", "tfgen/variational/latent_variable.py",
        "return self.mean(each) if each.shape.rank == 2 else each",
        "return tf.reduce_sum(each, axis=0) if each.shape.rank == 2 else each",
        f"{DRAW_TESTS} -k quadrature",
    ),
    Mutant(
        "the sign of log q", "tfgen/variational/latent_variable.py",
        "p.log_prob(z) - log_q", "p.log_prob(z) + log_q",
        f"{CONTRACT} -k 'constant and VAE'",
    ),
    Mutant(
        "the sign of the KL in the objective", "tfgen/variational/latent_variable.py",
        'terms["reconstruction"] + beta * charged_kl(model, drawn, step)\n    terms',
        'terms["reconstruction"] - beta * charged_kl(model, drawn, step)\n    terms',
        f"{VAE_TESTS} -k objectives_against",
    ),
    Mutant(
        "the sign of the KL in what is reported", "tfgen/variational/latent_variable.py",
        "loss = reconstruction + divergence", "loss = reconstruction - divergence",
        f"{VAE_TESTS} -k objectives_against",
    ),
    Mutant(
        "the farthest code instead of the nearest", "tfgen/layers/vector_quantizer.py",
        "codes = tf.argmin(", "codes = tf.argmax(",
        f"{QUANTIZER_TESTS} -k brute_force",
    ),
    Mutant(
        "codes that are not centered before their distances", "tfgen/layers/vector_quantizer.py",
        "middle = tf.reduce_mean(codebook, axis=0)", "middle = 0.0 * tf.reduce_mean(codebook, axis=0)",
        f"{QUANTIZER_TESTS} -k brute_force",
    ),
    Mutant(
        "no gradient through the codes", "tfgen/layers/vector_quantizer.py",
        "return z + tf.stop_gradient(quantized - z)", "return quantized + 0.0 * z",
        f"{QUANTIZER_TESTS} -k straight_through",
    ),
    Mutant(
        "a commitment that moves the codes", "tfgen/layers/vector_quantizer.py",
        "tf.square(z - tf.stop_gradient(found))", "tf.square(z - found)",
        f"{QUANTIZER_TESTS} -k straight_through",
    ),
    Mutant(
        "averages with their weights exchanged", "tfgen/layers/vector_quantizer.py",
        "self.decay * average + (1.0 - self.decay) * now", "(1.0 - self.decay) * average + self.decay * now",
        f"{QUANTIZER_TESTS} -k 'lloyds or papers'",
    ),
    Mutant(
        "unused codes that move to 0", "tfgen/layers/vector_quantizer.py",
        " / total + _KEPT * place", " / total",
        f"{QUANTIZER_TESTS} -k 'lloyds or papers'",
    ),
    Mutant(
        "dead codes left where they are", "tfgen/layers/vector_quantizer.py",
        "tf.where(dead[:, None], self.fresh.value, place)", "tf.where(dead[:, None], place, place)",
        f"{QUANTIZER_TESTS} -k 'dead or revival'",
    ),
    Mutant(
        "a bound that leaves the codes out", "tfgen/variational/code_model.py",
        "tf.add_n(list(self.log_parts(x, condition).values()))",
        'self.log_parts(x, condition)["reconstruction"]',
        "tests/variational/test_vq_vae.py -k bound",
    ),
    Mutant(
        "a sampler of codes that another top is told", "tfgen/variational/code_model.py",
        "told = self.told(level, codes, condition)",
        "told = self.told(level, [0 * k for k in codes], condition)",
        "tests/variational/test_vq_vae_2.py -k drawn_from_both",
    ),
    Mutant(
        "a bottom prior that does not hear the label", "tfgen/variational/vq_vae_2.py",
        "everywhere = self.condition.features(condition)[:, None, None]",
        "everywhere = 0.0 * self.condition.features(condition)[:, None, None]",
        "tests/variational/test_vq_vae_2.py -k bottom_hears",
    ),
    Mutant(
        "a ball caught beside the paddle", "tfgen/environments/bouncing.py",
        "(x < paddle + self.paddle)", "(x <= paddle + self.paddle)",
        f"{WORLD_TESTS} -k pixel_by_pixel",
    ),
    Mutant(
        "a ball that turns one row too late", "tfgen/environments/bouncing.py",
        "reached = place >= highest", "reached = place > highest",
        f"{WORLD_TESTS} -k pixel_by_pixel",
    ),
    Mutant(
        "rewards that stand a frame too late", "tfgen/data/bouncing.py",
        "state, rewards[:, t] = world.step(state, actions[:, t])",
        "state, rewards[:, (t + 1) % steps] = world.step(state, actions[:, t])",
        f"{WORLD_TESTS} -k holds_games",
    ),
    Mutant(
        "a world model's bound without the entropy of its codes", "tfgen/variational/world_model.py",
        "self.log_prior(z, actions)[0] - log_q", "self.log_prior(z, actions)[0]",
        f"{WORLD_MODEL_TESTS} -k bound_is",
    ),
    Mutant(
        "a world model that sees each code before it is asked for", "tfgen/variational/transition.py",
        "self.cell.sequence(tf.pad(read, [[0, 0], [1, 0], [0, 0]]))",
        "self.cell.sequence(tf.pad(read, [[0, 0], [0, 1], [0, 0]]))",
        f"{WORLD_MODEL_TESTS} -k 'densities or one_by_one'",
    ),
    Mutant(
        "a temperature of variances taken for one of deviations", "tfgen/variational/transition.py",
        "loc + tf.sqrt(heat) * scale", "loc + heat * scale",
        f"{WORLD_MODEL_TESTS} -k at_a_temperature",
    ),
    Mutant(
        "a dream that remembers each action a frame too early", "tfgen/variational/world_model.py",
        "z[:, :-1], actions[:, : seen - 1])", "z[:, :-1], actions[:, 1:seen])",
        f"{WORLD_MODEL_TESTS} -k fed_its_own",
    ),
    Mutant(
        "a player that forgets what it did", "tfgen/variational/world_model.py",
        "self.dynamics.advance(memory, z, actions[:, 0])",
        "self.dynamics.advance(memory, z, 0 * actions[:, 0])",
        f"{WORLD_MODEL_TESTS} -k best_of_all_plans",
    ),
    Mutant(
        "plans drawn evenly in every round", "tfgen/variational/planning.py",
        "probs = (1.0 - self.floor) * share", "probs = 0.0 * share",
        f"{WORLD_MODEL_TESTS} -k cross_entropy",
    ),
    Mutant(
        "rewards that weigh twice", "tfgen/variational/world_model.py",
        "error / (2.0 * self.reward_scale**2)", "error / self.reward_scale**2",
        f"{WORLD_MODEL_TESTS} -k loss_of_the_dynamics",
    ),
    Mutant(
        "roll-outs compared with the first frame", "tfgen/variational/world_report.py",
        "x[:, seen - 1 : seen]", "x[:, :1]",
        f"{WORLD_MODEL_TESTS} -k what_they_say",
    ),
    Mutant(
        "a map of features of which the sampler reads the first row", "tfgen/layers/masked.py",
        "bias + self.map[row]", "bias + self.map[0]",
        "tests/autoregressive/test_gated_pixel_cnn.py -k map_of_features",
    ),
    Mutant(
        "attention to pixels that are not drawn", "tfgen/layers/pixel_attention.py",
        "-1, 0)", "-1, 1)",
        "tests/layers/test_pixel_attention.py",
    ),
    Mutant(
        "a sampler whose attention forgets the last row", "tfgen/autoregressive/pixels/gated_pixel_cnn.py",
        ">= size - row * columns", ">= size - row * columns + columns",
        "tests/layers/test_pixel_attention.py -k sampler",
    ),
    Mutant(
        "PixelVAE's pixels that are told of another z", "tfgen/variational/pixel_vae.py",
        "self.features_of(tf.convert", "self.features_of(0.0 * tf.convert",
        "tests/variational/test_pixel_vae.py -k 'hears_z or without_features'",
    ),
    Mutant(
        "a score function with the wrong sign", "tfgen/estimators/gradients.py",
        "return with_gradient_of(value, value - weighed)", "return with_gradient_of(value, value + weighed)",
        "tests/estimators/test_gradients.py -k unbiased",
    ),
    Mutant(
        "a baseline that sees its own sample", "tfgen/estimators/gradients.py",
        "found = (found - mean) / tf.maximum", "found = (found - now) / tf.maximum",
        "tests/estimators/test_gradients.py -k by_hand",
    ),
    Mutant(
        "a sample that is its own baseline", "tfgen/estimators/gradients.py",
        "signal = tf.stop_gradient(bound - replaced)", "signal = tf.stop_gradient(bound - replaced[:1])",
        "tests/estimators/test_gradients.py -k tfp",
    ),
    Mutant(
        "relaxed draws of another temperature", "tfgen/distributions/draw.py",
        "_gumbels(d, seed, shape, temperature) / d.temperature)", "_gumbels(d, seed, shape, temperature))",
        "tests/distributions/test_relaxed.py -k density",
    ),
    Mutant(
        "layers drawn from the wrong end", "tfgen/variational/belief_layers.py",
        "return list(layers) if self.upward else list(layers)[::-1]", "return list(layers)",
        "tests/variational/test_belief_layers.py",
    ),
    Mutant(
        "signals of layers that forget the layer below", "tfgen/variational/sigmoid_belief_net.py",
        "tf.cumsum(log_p, reverse=True)[:-1]", "tf.cumsum(log_p, reverse=True)[1:]",
        "tests/variational/test_belief_nets.py -k nvil_has",
    ),
    Mutant(
        "dreams seen as their means", "tfgen/variational/belief_net.py",
        "self.posterior(draw(self.likelihood(z), observed))", "self.posterior(self.likelihood(z).mean())",
        "tests/variational/test_belief_nets.py -k 'enumerated_means and sleep'",
    ),
    Mutant(
        "relaxed codes in the place of one-hot ones", "tfgen/variational/categorical_vae.py",
        'if self.estimator == "straight_through":\n            z =', 'if False:\n            z =',
        "tests/variational/test_categorical_vae.py -k straight_through",
    ),
    Mutant(
        "a denoising autoencoder that resembles the noise", "tfgen/variational/autoencoder.py",
        'self.errors(batch["x"], self.corrupt(batch["x"], seed))',
        'self.errors(*[self.corrupt(batch["x"], seed)] * 2)',
        "tests/variational/test_autoencoder.py -k corruption",
    ),
    Mutant(
        "inactive latents with the bound's gradient", "tfgen/variational/dc_ign.py",
        "tf.where(active, raw, tf.stop_gradient(mean))", "tf.where(active, raw, mean)",
        "tests/variational/test_dc_ign.py -k difference_from_the_mean",
    ),
    Mutant(
        "latents clamped to the batch's mean, not the group's", "tfgen/variational/dc_ign.py",
        "tf.cast(group[:, None] == group, tf.float32)", "tf.cast(group[:, None] > -group, tf.float32)",
        "tests/variational/test_dc_ign.py -k inactive_latents_are",
    ),
    Mutant(
        "an invariance that counts active latents", "tfgen/variational/dc_ign.py",
        "tf.where(active, 0.0, tf.square(raw - mean))", "tf.square(raw - mean)",
        "tests/variational/test_dc_ign.py -k difference_from_the_mean",
    ),
    Mutant(
        "groups taken apart", "tfgen/training/batches.py",
        "permutation[:, None] * self.group_size + np.arange(self.group_size)",
        "permutation[:, None] + self.num_examples // self.group_size * np.arange(self.group_size)",
        f"{STREAMS} -k groups",
    ),
    Mutant(
        "a test part of mixes that are trained on", "tfgen/data/factors.py",
        "RandomState([0, 9]), _TEST, True)", "RandomState([0, 9]), _TEST, False)",
        "tests/test_factors_data.py -k mixes",
    ),
    Mutant(
        "groups in which a second thing varies", "tfgen/data/factors.py",
        "rows = again & (varied == number)", "rows = again & (varied <= number)",
        "tests/test_factors_data.py -k one_thing",
    ),
    Mutant(
        "a mask that weighs as the picture", "tfgen/variational/convolutional_generator.py",
        "loss += self.mask_weight * error", "loss += error",
        "tests/variational/test_convolutional_generator.py -k by_hand",
    ),
    Mutant(
        "a variance for a deviation", "tfgen/variational/convolutional_generator.py",
        "tf.maximum(tf.sqrt(tf.convert_to_tensor(self.variance.value)), _LEAST)",
        "tf.maximum(tf.convert_to_tensor(self.variance.value), _LEAST)",
        "tests/variational/test_convolutional_generator.py -k gaussian_around",
    ),
    Mutant(
        "few labels that count as much as all the rest", "tfgen/variational/semi_supervised_vae.py",
        "- self.labelled_weight * known", "- known",
        "tests/variational/test_semi_supervised_vae.py -k by_hand",
    ),
    Mutant(
        "a class posterior without its entropy", "tfgen/variational/semi_supervised_vae.py",
        "tf.exp(log_q) * (bounds - log_q)", "tf.exp(log_q) * bounds",
        "tests/variational/test_semi_supervised_vae.py -k by_hand",
    ),
    Mutant(
        "a doubly reparameterized path that is weighed once", "tfgen/estimators/path_gradient.py",
        "(1.0 - elbo_share) * share**power", "(1.0 - elbo_share) * share",
        "tests/variational/test_latent_variable.py -k doubly",
    ),
    Mutant(
        "components of a mixture that all count alike", "tfgen/variational/latent_variable.py",
        "return tf.reduce_sum(tf.exp(self.log_share) * values, axis=0)",
        "return tf.reduce_mean(values, axis=0)",
        "tests/variational/test_posteriors.py -k stratified",
    ),
    Mutant(
        "an autoregressive flow whose entries see themselves", "tfgen/layers/masked_mlp.py",
        "(degree[:, None] < place)", "(degree[:, None] <= place)",
        "tests/variational/test_posteriors.py -k jacobian",
    ),
    Mutant(
        "a refinement that takes steps down", "tfgen/variational/semi_amortized_vae.py",
        "better = its_bound > bound", "better = tf.ones_like(bound) > 0.0",
        "tests/variational/test_semi_amortized_vae.py -k never_below",
    ),
    Mutant(
        "a decoder that is not told the condition", "tfgen/variational/encoder_decoder.py",
        "tf.broadcast_to(told, tf.concat([rows,", "tf.broadcast_to(0.0 * told, tf.concat([rows,",
        "tests/variational/test_conditional_vae.py -k reads_x",
    ),
    Mutant(
        "a capacity that nothing pulls the KL up to", "tfgen/variational/latent_variable.py",
        "tf.abs(drawn.kl - model.capacity_at(step))", "tf.nn.relu(drawn.kl - model.capacity_at(step))",
        "tests/variational/test_latent_variable.py -k in_time",
    ),
    Mutant(
        "total correlation of a q(z) that leaves out its own x", "tfgen/estimators/aggregate.py",
        "tf.reduce_logsumexp(together, axis=2) - log_size",
        "tf.reduce_logsumexp(together - 1e9 * tf.eye(size), axis=2) - log_size",
        "tests/variational/test_latent_variable.py -k total_correlation",
    ),
    Mutant(
        "a continuous Bernoulli without its constant", "tfgen/distributions/continuous_bernoulli.py",
        "self.logits - normalizer", "self.logits - 0.0 * normalizer",
        "tests/distributions/test_continuous_bernoulli.py -k integrates",
    ),
    Mutant(
        "a bound without its log K", "tfgen/estimators/importance.py",
        "ImportanceBound(once - math.log(num_samples), error", "ImportanceBound(once, error",
        f"{CONTRACT} -k 'constant and VAE'",
    ),
    Mutant(
        "a flow without its log-determinant", "tfgen/variational/learned_priors.py",
        "return tfb.RealNVP(num_masked=kept, shift_and_log_scale_fn=shift_and_log_scale)",
        "real = tfb.RealNVP(num_masked=kept, shift_and_log_scale_fn=shift_and_log_scale)\n"
        "        flat = lambda y: tf.zeros(tf.shape(y)[:-1])\n"
        "        return tfb.Inline(real.forward, real.inverse, flat, forward_min_event_ndims=1)",
        f"{VAE_TESTS} -k learned_priors_integrate",
    ),
    Mutant(
        "an edge mass cut off", "tfgen/distributions/discretized_logistic.py",
        "below_top = tf.where(highest, 0.0, tf.math.log_sigmoid(above))",
        "below_top = tf.math.log_sigmoid(above)",
        "tests/distributions/test_discretized_logistic.py",
    ),
    Mutant(
        "a seed that all calls of a step share", "tfgen/update.py",
        "call_seed = random.fold_in(step_seed, call, replica)",
        "call_seed = random.fold_in(step_seed, 0, replica)",
        f"{TRAINING} -k 'two_replicas and GAN'",
    ),
    Mutant(
        "a seed that all steps share", "tfgen/update.py",
        "step_seed = random.fold_in(seed, step)", "step_seed = random.fold_in(seed, 0)",
        f"{TRAINING} -k 'two_replicas and VAE'",
    ),
    Mutant(
        "a seed that all replicas share", "tfgen/update.py",
        "call_seed = random.fold_in(step_seed, call, replica)",
        "call_seed = random.fold_in(step_seed, call, 0)",
        f"{TRAINING} -k 'two_replicas and VAE'",
    ),
    Mutant(
        "gradients summed over replicas, not averaged", "tfgen/update.py",
        'how = ["mean"] * len(grads)', 'how = ["sum"] * len(grads)',
        f"{LOOP} -k every_way",
    ),
    Mutant(
        "rows of samples that share a seed", "tfgen/random.py",
        "return fold_in(seed, tf.range(num) + start)", "return fold_in(seed, 0 * tf.range(num) + start)",
        f"{CONTRACT} -k own_seed",
    ),
    Mutant(
        "a wrong rotation in Threefry", "tfgen/random.py",
        "(13, 15, 26, 6, 17, 29, 16, 24)", "(13, 15, 26, 6, 17, 29, 16, 25)",
        "tests/test_random.py",
    ),
    Mutant(
        "a gradient through the Gibbs chain's samples", "tfgen/energy/estimators.py",
        "x, samples = (model.joint.unpack(tf.stop_gradient(s), model.kept) for s in (x, samples))",
        "k = model.kernel.value[0, 0]\n"
        "    samples = samples + k - tf.stop_gradient(k)\n"
        "    x, samples = (model.joint.unpack(s, model.kept) for s in (x, samples))",
        f"{RBM_TESTS} -k cd_gradient",
    ),
    Mutant(
        "means of log f without the terms between groups", "tfgen/energy/joint.py",
        "rest += [] if pairs is None else [pairs]", "del pairs",
        "tests/energy/test_machines.py -k means_of_log_f",
    ),
    Mutant(
        "model samples weighed like data", "tfgen/energy/estimators.py",
        "return data - model_side, scalars", "return data + model_side, scalars",
        f"{RBM_TESTS} -k cd_gradient",
    ),
    Mutant(
        "units coupled within their group that are drawn all at once", "tfgen/energy/joint.py",
        "            within = tf.reduce_sum(units.statistic(s) * matrix[i], axis=-1)",
        "            within = tf.reduce_sum(units.statistic(start[1]) * matrix[i], axis=-1)",
        f"{MACHINES} -k 'invariant and general'",
    ),
    Mutant(
        "a centred energy that forgets what couplings see of zero", "tfgen/energy/units.py",
        "summed = sum_softplus(self.logits(field, beta))\n"
        "        return summed if self.offset is None else summed + beta * self.seen_of_zero(field)",
        "summed = sum_softplus(self.logits(field, beta))\n        return summed",
        f"{MACHINES} -k 'free_energies and centred'",
    ),
    Mutant(
        "a softplus that forgets units that are off", "tfgen/energy/units.py",
        "shares = tf.split(tf.maximum(on, 1.0 - on), together, axis=-1)",
        "shares = tf.split(on, together, axis=-1)",
        "tests/energy/test_units.py",
    ),
    Mutant(
        "variances that the field is not divided by", "tfgen/energy/units.py",
        "return super().statistic(s) * tf.exp(-read_like(self.log_variance, s))",
        "return super().statistic(s)",
        f"{GAUSSIAN_RBM} -k log_z",
    ),
    Mutant(
        "Gaussian units that are integrated as if they had no offset", "tfgen/energy/units.py",
        "integral + beta * self.seen_of_zero(field)", "integral",
        f"{GAUSSIAN_RBM} -k 'energy and centred'",
    ),
    Mutant(
        "blocks that are summed as if they had no offset", "tfgen/energy/units.py",
        "summed = tf.reduce_sum(tf.reduce_logsumexp(self.block_logits(field, beta), axis=-1), axis=-1)\n"
        "        return summed if self.offset is None else summed + beta * self.seen_of_zero(field)",
        "return tf.reduce_sum(tf.reduce_logsumexp(self.block_logits(field, beta), axis=-1), axis=-1)",
        f"{CONVOLUTIONAL} -k pooling_sums",
    ),
    Mutant(
        "a layer handed on without what its offsets bring", "tfgen/energy/deep_belief_net.py",
        'self.generative.biases[k - 1].assign(done.joint.bias_without_offsets("v"))',
        "self.generative.biases[k - 1].assign(done.visible_bias.value)",
        f"{NET} -k bound_does_not_fall",
    ),
    Mutant(
        "a layer turned over without what its offsets bring", "tfgen/energy/joint.py",
        "self.units[name].bias.assign(bias - self._seen_of_offsets(name))",
        "self.units[name].bias.assign(bias)",
        f"{NET} -k bound_does_not_fall",
    ),
    Mutant(
        "a classifier of a DBM that learns from draws", "tfgen/networks/classifier.py",
        'features(few.get("x_mean", few["x"]))', 'features(few["x"])',
        f"{DEEP_MACHINE} -k reads_means",
    ),
    Mutant(
        "a DBM's best classifier by its nats", "tfgen/energy/deep_boltzmann_machine.py",
        '{"loss": losses["label_error"]}', '{"loss": losses["label_nats"]}',
        f"{DEEP_MACHINE} -k reads_means",
    ),
    Mutant(
        "a classifier that is tested on draws", "tfgen/networks/classifier.py",
        "None if model.reads_means else seed", "seed",
        f"{DEEP_MACHINE} -k reads_means",
    ),
    Mutant(
        "means of levels that are draws", "tfgen/space.py",
        "x if seed is None else random.bernoulli(seed, x)",
        "random.bernoulli([0, 0] if seed is None else seed, x)",
        "tests/training/test_batches.py -k probability",
    ),
    Mutant(
        "reverse annealing whose weights count as forward ones", "tfgen/estimators/ais.py",
        "(-log_mean if reverse else log_mean)", "log_mean",
        "tests/estimators/test_ais.py -k in_reverse",
    ),
    Mutant(
        "annealing that moves before it weighs", "tfgen/estimators/ais.py",
        "log_w += tf.cast(log_ratio(state, beta, next_beta), tf.float64)",
        "state = transition(state, next_beta, random.fold_in(seed, k))\n"
        "        log_w += tf.cast(log_ratio(state, beta, next_beta), tf.float64)",
        "tests/estimators/test_ais.py",
    ),
    Mutant(
        "an interval of one standard error", "tfgen/estimators/ais.py",
        "(estimate, estimate - 3.0 * error, estimate + 3.0 * error,",
        "(estimate, estimate - error, estimate + error,",
        f"{DEEP_MACHINE} -k intervals_cover",
    ),
    Mutant(
        "mean field of a step that stops at once", "tfgen/energy/energy_model.py",
        "_MOVED = 1e-2", "_MOVED = 1.0",
        "tests/energy/test_deep_boltzmann_machine.py -k means_of_a_step",
    ),
    Mutant(
        "mean field of data that hears samples", "tfgen/energy/energy_model.py",
        "fields = {name: field[:num] for", "fields = {name: field[-num:] for",
        "tests/energy/test_deep_boltzmann_machine.py -k beside_samples",
    ),
    Mutant(
        "mean field whose watched means are those of other layers", "tfgen/energy/joint.py",
        "for n in watched]))", "for n in names if n not in watched]))",
        "tests/energy/test_deep_boltzmann_machine.py -k means_of_a_step",
    ),
    Mutant(
        "annealing that starts beside its path", "tfgen/energy/units.py",
        "        return (1.0 - beta) * read_like(self.base_logits, end) + beta * end",
        "        return beta * end",
        f"{NET} -k intervals_cover",
    ),
    Mutant(
        "a layer turned over without its biases", "tfgen/energy/layerwise.py",
        'machine.joint.begin_without_offsets("v", below.joint.bias_without_offsets("h"))',
        'machine.joint.begin_without_offsets("v", 0.0 * below.joint.bias_without_offsets("h"))',
        f"{NET} -k does_not_fall",
    ),
    Mutant(
        "a bound without the entropy of the way up", "tfgen/energy/deep_belief_net.py",
        "return sum(log_p[:k], 0.0) - sum(log_q[:k], 0.0)", "return sum(log_p[:k], 0.0)",
        f"{NET} -k lies_below",
    ),
    Mutant(
        "dreams that are data", "tfgen/energy/deep_belief_net.py",
        "gibbs_chain(self.top, self.top_state(states[-1], **labels), dream, self.num_gibbs)",
        "gibbs_chain(self.top, self.top_state(states[-1], **labels), dream, 0)",
        f"{NET} -k up_down",
    ),
    Mutant(
        "an inner layer that hears from below once", "tfgen/energy/deep_boltzmann_machine.py",
        'names = ("v", "v_again")[: 1 + (k < len(self.kernels) - 1)]', 'names = ("v", "v_again")[:1]',
        f"{DEEP_MACHINE} -k doubles",
    ),
    Mutant(
        "mean field that stops after a sweep", "tfgen/energy/joint.py",
        "lambda number, _, moved: moved > tolerance, sweep", "lambda number, *_: number < 1, sweep",
        f"{DEEP_MACHINE} -k fixed_point",
    ),
    Mutant(
        "blocks in which more than one unit may be 1", "tfgen/energy/units.py",
        "tf.reduce_sum(tf.reduce_logsumexp(self.block_logits(field, beta), axis=-1), axis=-1)",
        "tf.reduce_sum(tf.math.softplus(self.block_logits(field, beta)[..., 1:]), axis=[-2, -1])",
        f"{CONVOLUTIONAL} -k pooling_sums",
    ),
    Mutant(
        "a stack that forgets its pooled units", "tfgen/energy/units.py",
        "return self.from_blocks(pooled[..., None] * which)", "return self.from_blocks(which)",
        f"{CONVOLUTIONAL} -k within_known_pools",
    ),
    Mutant(
        "batch-norm statistics moved by the other player", "tfgen/adversarial/players.py",
        "self.discriminator.variables,\n",
        "self.discriminator.variables + self.generator.non_trainable_variables,\n",
        f"{TRAINING} -k 'players and DCGAN'",
    ),
    Mutant(
        "a generator that wants its samples to look false", "tfgen/adversarial/losses.py",
        "return tf.reduce_mean(tf.math.softplus(-fake))", "return tf.reduce_mean(tf.math.softplus(fake))",
        GAN_TESTS + " -m 'not slow'",
    ),
    Mutant(
        "labels smoothed on the wrong side", "tfgen/adversarial/losses.py",
        "on_real = tf.math.softplus(-real) + label_smoothing * real",
        "on_real = tf.math.softplus(-real) + label_smoothing * fake",
        GAN_TESTS + " -m 'not slow'",
    ),
    Mutant(
        "a lost constructor argument", "tfgen/keras_model.py",
        "        return dict(self._arguments)\n",
        '        return {k: v for k, v in self._arguments.items() if k != "hidden"}\n',
        f"{CONTRACT} -k 'config_returns'",
    ),
    Mutant(
        "files whose classes are known only if Keras was imported before", "tfgen/on_demand.py",
        "            _register(module)\n", "            pass\n",
        "tests/test_packaging.py -k keras_files",
    ),
    Mutant(
        "resumed data off by one batch", "tfgen/training/feed.py",
        "indices[:count] = order(step, count)", "indices[:count] = order(step + (count > 1), count)",
        f"{LOOP} -k 'control_c or statistics'",
    ),
    Mutant(
        "streamed steps that all take the first ones of their block", "tfgen/training/feed.py",
        "first = step - self.block.start", "first = 0",
        "tests/training/test_streamed.py -k 'block_is or passes_of'",
    ),
    Mutant(
        "streamed examples in the order in which they were read", "tfgen/data/stream.py",
        "self._read(unique)[places.reshape(-1)]", "self._read(unique)[np.sort(places.reshape(-1))]",
        "tests/test_stream_data.py -k indexed",
    ),
    Mutant(
        "decoded examples kept in the places of others", "tfgen/data/kept.py",
        "place, part = int(numbers[first]) * self.size,", "place, part = int(numbers[0]) * self.size,",
        "tests/test_stream_data.py -k no_other",
    ),
    Mutant(
        "a full disk that is written to again", "tfgen/data/kept.py",
        "self._given_up = True", "pass",
        "tests/test_stream_data.py -k fills_up",
    ),
    Mutant(
        "a view of a memory map that is read from where the map begins", "tfgen/data/stream.py",
        "self.offset = start + array.ctypes.data - np.frombuffer(array._mmap, np.uint8).ctypes.data",
        "self.offset = array.offset",
        "tests/test_stream_data.py -k maps",
    ),
    Mutant(
        "a data set that takes labels beyond its classes", "tfgen/data/dataset.py",
        "np.asarray(high)[()], True", "np.asarray(high)[()] + 1, True",
        "tests/test_gate.py -k refuses_what",
    ),
    Mutant(
        "a pass that counts an example twice", "tfgen/training/batches.py",
        "constant_values=-1", "constant_values=0",
        f"{LOOP} -k 'short_batch or statistics'",
    ),
    Mutant(
        "sums that are not cleared after a pass", "tfgen/update.py",
        "_commit(variable, tf.zeros_like(variable.value))", "_commit(variable, variable.value)",
        f"{LOOP} -k statistics",
    ),
    Mutant(
        "averages that are not put back", "tfgen/training/checkpoints.py",
        "            variable.assign(value)\n", "            variable.assign(variable.value)\n",
        f"{LOOP} -k 'averages_are or put_back'",
    ),
    Mutant(
        "a torn checkpoint taken for whole", "tfgen/training/checkpoints.py",
        "            except _DAMAGE as error:\n                log(",
        "            except KeyError as error:\n                log(",
        f"{LOOP} -k torn",
    ),
    Mutant(
        "a best checkpoint of any stage", "tfgen/training/loop.py",
        "self._note_loss(loss) and last and self.last:", "self._note_loss(loss) and self.last:",
        f"{STAGES} -k best",
    ),
    Mutant(
        "patience carried into the next stage", "tfgen/training/loop.py",
        "        self.number = stage.number\n        self.lowest = math.inf\n        self.waited = 0\n",
        "        self.number = stage.number\n        self.lowest = math.inf\n",
        f"{STAGES} -k patience",
    ),
    Mutant(
        "averages that start before a stage is entered", "tfgen/training/loop.py",
        "        start_averages(stage.optimizers.values())\n", "",
        f"{STAGES} -k before_its_first_step",
    ),
    Mutant(
        "a stage that runs to its planned end after it was ended early", "tfgen/training/loop.py",
        "[end - early for end in self.bounds[stage.number + 1 :]]",
        "[stage.end - early, *self.bounds[stage.number + 2 :]]",
        f"{STAGES} -k patience",
    ),
    Mutant(
        "replicas that read the same rows of a stream", "tfgen/training/stage.py",
        'name: of_replica(indices[f"stream {name}"][i])',
        'name: indices[f"stream {name}"][i][: self.run.batch_size // count]',
        f"{STREAMS} -k equally",
    ),
    Mutant(
        "a pass that takes the batch of other updates", "tfgen/update.py",
        "used = batch_at(PASS, batch_seed)", "used = batch_at(0, batch_seed)",
        f"{STREAMS} -k beside",
    ),
    Mutant(
        "sums over replicas in float32", "tfgen/update.py",
        "    return tf.float32 if dtype in (tf.float32, tf.bfloat16, tf.float16) else tf.float64",
        "    return tf.float32",
        f"{STREAMS} -k precision",
    ),
    Mutant(
        "weights of other arguments taken for one's own", "tfgen/training/checkpoints.py",
        "elif stored[name] != here[name]:", "elif type(stored[name]) is not type(here[name]):",
        "tests/training/test_checkpoints.py -k refused",
    ),
    Mutant(
        "a covariance that forgets its shift", "tfgen/classical/gaussian_mixture.py",
        'covariance = sums["second"] / count[:, None, None] - mean[:, :, None] * mean[:, None]',
        'covariance = sums["second"] / count[:, None, None]',
        MIXTURE,
    ),
    Mutant(
        "Bernoullis that forget what was 0", "tfgen/classical/gaussian_mixture.py",
        "zeros = tf.nn.relu(count[:, None] - sums[\"ones\"]) + self.pseudo_count + _MIN_COUNT",
        "zeros = count[:, None] + self.pseudo_count + _MIN_COUNT",
        f"{MIXTURE} -k formulas",
    ),
    Mutant(
        "singular covariances let through", "tfgen/classical/gaussian_mixture.py",
        "self.regularization > _ROUNDING * largest,", "self.regularization >= 0.0 * largest,",
        f"{MIXTURE} -k singular",
    ),
    Mutant(
        "squares of large numbers that lose their digits", "tfgen/classical/kmeans.py",
        "    middle = tf.reduce_mean(centers, axis=0)\n    around", "    middle = 0.0\n    around",
        f"{KMEANS} -k lloyds",
    ),
    Mutant(
        "what parts of a batch are filled up with counted", "tfgen/classical/kmeans.py",
        "        k = tf.where(i * rows + tf.range(rows) < num, k, -1)\n", "",
        f"{KMEANS} -k not_full",
    ),
    Mutant(
        "sums of workers that are averaged", "tfgen/update.py",
        '["sum"] * len(totals)', '["mean"] * len(totals)',
        "tests/training/test_processes.py -k classical",
    ),
    Mutant(
        "passes that read the first batch alone", "tfgen/training/batches.py",
        "first = tf.maximum(indices[0], 0)", "first = 0",
        f"{STREAMS} -k pass",
    ),
    Mutant(
        "missing cells that are zeros", "tfgen/data/tables.py",
        "math.nan if _is_missing(values[i])", "0.0 if _is_missing(values[i])",
        "tests/test_table_data.py -k missing",
    ),
    Mutant(
        "a spread about the center before", "tfgen/classical/kmeans.py",
        "scatter = tf.nn.relu(scatter - tf.reduce_sum(tf.square(shift), axis=1) / given)",
        "scatter = tf.nn.relu(scatter)",
        f"{KMEANS} -k density",
    ),
    Mutant(
        "empty clusters that stay empty", "tfgen/classical/kmeans.py",
        "moves = (empty & (spread > 0.0))[:, None]", "moves = (empty & (spread < 0.0))[:, None]",
        f"{KMEANS} -k empty",
    ),
    Mutant(
        "mini-batches that forget those before", "tfgen/classical/kmeans.py",
        "count = self.counts.value + sums[\"count\"]", "count = sums[\"count\"]",
        f"{KMEANS} -k sculley",
    ),
    Mutant(
        "noise of the eigenvalues kept", "tfgen/classical/probabilistic_pca.py",
        "tf.reduce_mean(eigenvalues[:left])", "tf.reduce_mean(eigenvalues[1:left])",
        f"{PCA} -k closed_form",
    ),
    Mutant(
        "missing entries taken for the mean", "tfgen/classical/probabilistic_pca.py",
        "    if known is None:\n        products", "    if True:\n        products",
        f"{PCA} -k integrated",
    ),
    Mutant(
        "EM without the scale of z", "tfgen/classical/probabilistic_pca.py",
        "self._assign(shift, tf.matmul(rows[:, :-1], factor),", "self._assign(shift, rows[:, :-1],",
        f"{PCA} -k ends_at",
    ),
    Mutant(
        "k-means++ in proportion to distances, not to their squares", "tfgen/classical/start.py",
        "weighted = weights * closest", "weighted = weights * np.sqrt(closest)",
        f"{START} -k law",
    ),
    Mutant(
        "states beyond a sequence's end that count", "tfgen/classical/trellis.py",
        "counted = tf.cast(evidence.observed, tf.float32)[..., None]", "counted = tf.ones_like(found.scale)",
        f"{HIDDEN} -k expected_counts",
    ),
    Mutant(
        "forbidden transitions summed as scaled", "tfgen/classical/trellis.py",
        "return bool(self.allowed.all())", "return True",
        f"{HIDDEN} -k 'looks_impossible'",
    ),
    Mutant(
        "a full chain without its least probability", "tfgen/classical/hidden_markov_model.py",
        "transitions = tf.maximum(transitions, least)", "transitions = tf.identity(transitions)",
        f"{HIDDEN} -k 'far_from_all_x'",
    ),
    Mutant(
        "a path that goes on beyond its end", "tfgen/classical/trellis.py",
        'last = tf.where(given["observed"][:, None], reached, last)', "last = reached",
        f"{HIDDEN} -k every_recursion",
    ),
    Mutant(
        "a tied chain that counts states without a way out", "tfgen/classical/hidden_markov_model.py",
        "stays = tf.reduce_sum(tf.linalg.diag_part(counts) * leaves, axis=-1)[..., None, None]",
        "stays = tf.reduce_sum(tf.linalg.diag_part(counts), axis=-1)[..., None, None]",
        f"{HIDDEN} -k one_probability",
    ),
    Mutant(
        "classes without their prior", "tfgen/classical/hidden_markov_model.py",
        "return scored + tf.nn.log_softmax(self.class_logits.value)", "return scored",
        f"{HIDDEN} -k bayes_rule",
    ),
    Mutant(
        "a Gaussian without data that moves", "tfgen/classical/emissions.py",
        "tf.cast(tf.where(seen[of_matrix], found, scales), tf.float32)", "tf.cast(found, tf.float32)",
        f"{HIDDEN} -k never_came",
    ),
    Mutant(
        "batches cut one step before their end", "tfgen/classical/hidden_markov_model.py",
        'few_sizes(tf.reduce_max(batch["lengths"]))', 'few_sizes(tf.reduce_max(batch["lengths"])) - 1',
        f"{HIDDEN} -k few_numbers",
    ),
    Mutant(
        "statistics of a pass that are compiled where nothing is", "tfgen/update.py",
        "if _REPLICA.jit else function", "if True else function",
        f"{LOOP} -k what_statistics_name",
    ),
    Mutant(
        "symbols unseen in training scored in silence", "tfgen/classical/emissions.py",
        "<= 0.5 * NEVER", "<= 2.0 * NEVER",
        f"{HIDDEN} -k bad_arguments",
    ),
    Mutant(
        "sequences filled up without their lengths", "tfgen/data/ragged.py",
        "lengths = np.array([len(row) for row in rows], np.int32)",
        "lengths = np.full(len(rows), max(map(len, rows)), np.int32)",
        f"{SEQUENCES} -k several_lengths",
    ),
    Mutant(
        "pixels binarized the wrong way round", "tfgen/space.py",
        "x if seed is None else random.bernoulli(seed, x)",
        "x if seed is None else random.bernoulli(seed, 1 - x)",
        "tests/training/test_batches.py",
    ),
    Mutant(
        "a further field that nothing checks", "tfgen/model.py",
        "checked[key] = field.check(fields[key], name, key)",
        "checked[key] = tf.convert_to_tensor(fields[key])",
        f"{CONTRACT} -k 'bad_inputs and further'",
    ),
    Mutant(
        "counts that need not be whole", "tfgen/space.py",
        'whole = tf.round(x) if self.values in ("levels", "counts") else x',
        'whole = tf.round(x) if self.values == "levels" else x',
        f"{CONTRACT} -k 'bad_inputs and counts'",
    ),
    Mutant(
        "a bound of a free energy served with the wrong sign", "tfgen/model.py",
        '("free_energy_bound", -1.0)', '("free_energy_bound", 1.0)',
        f"{SERVING} -k 'round_trip and bound'",
    ),
    Mutant(
        "a speed that counts compilation", "tfgen/training/callbacks.py",
        """        if self._compiled != self.run.number:
            self._calls.clear()
            self._state = "compiling\"""", """        if self._compiled is None:
            self._calls.clear()
            self._state = "between\"""",
        "tests/training/test_reporting.py",
    ),
    Mutant(
        "time left without the evaluations", "tfgen/training/callbacks.py",
        "-(-steps // self.every) * (self._pause or 0.0)", "0.0",
        "tests/training/test_reporting.py -k speed",
    ),
    Mutant(
        "a log that gets a line every three seconds", "tfgen/progress.py",
        "max(_PAUSE, _SHARE * (now - self._began))", "_PAUSE", "tests/test_progress.py -k log",
    ),
    Mutant(
        "a course that forgets that its update repeats", "tfgen/training/schedules.py",
        "course(rate, times * (end - first), schedule, times * warmup)",
        "course(rate, end - first, schedule, warmup)",
        "tests/training/test_schedules.py -k 'repeats or player'",
    ),
    Mutant(
        "a course over the whole training in every stage", "tfgen/training/schedules.py",
        "course(rate, times * (end - first), schedule", "course(rate, times * steps, schedule",
        "tests/training/test_schedules.py -k stage",
    ),
    Mutant(
        "a warm-up that takes no time off the course", "tfgen/training/schedules.py",
        "self._follows(tf.maximum(step - self.steps, 0.0))", "self._follows(step)",
        "tests/training/test_schedules.py -k formula",
    ),
    Mutant(
        "a course that more steps change", "tfgen/cli/app.py",
        'course != "constant" and steps.present', 'course == "none" and steps.present',
        "tests/test_cli.py -k says_what",
    ),
    Mutant(
        "completed pictures in another order", "tfgen/data/splits.py",
        """    if validation == "all":
        return every, every, every
    if len""", """    if validation == "all":
        return every, every, every.take(slice(None, None, -1))
    if len""",
        "tests/test_cli.py -k pictures_are",
    ),
    Mutant(
        "annealing that begins each part anew", "tfgen/estimators/ais.py",
        "step, (first, state, log_w), maximum_iterations=last)", "step, (first * 0, state, log_w), "
        "maximum_iterations=last)",
        "tests/estimators/test_ais.py",
    ),
    Mutant(
        "a history that loses a row when it goes on", "tfgen/training/callbacks.py",
        'row["step"] <= until', 'row["step"] < until',
        f"{TRAINING} -k 'resumed and counts'",
    ),
    Mutant(
        "channels drawn as if each chose a component anew",
        "tfgen/distributions/discretized_logistic_mixture.py",
        "            weights += level_log_mass(", "            weights += 0.0 * level_log_mass(",
        "tests/distributions/test_discretized_logistic_mixture.py -k 'follow'",
    ),
    Mutant(
        "channels coupled about the lowest level", "tfgen/distributions/discretized_logistic_mixture.py",
        "(level - middle)[..., None]", "level[..., None]",
        "tests/distributions/test_discretized_logistic_mixture.py -k 'formula'",
    ),
    Mutant(
        "a shifted convolution that shows its own column", "tfgen/layers/streams.py",
        "x, left = x[:, :, :-1], width", "x, left = x, width - 1",
        f"{AUTO}/test_pixel_cnn_pp.py -k 'each_conditional'",
    ),
    Mutant(
        "a sampler that keeps the wrong row's lower resolution",
        "tfgen/autoregressive/pixels/two_streams.py",
        'tf.where(row % 2 == 0, left["low"], context["low"])', 'left["low"]',
        f"{PIXELS} -k 'whole_network and PlusPlus-0'",
    ),
    Mutant(
        "a first gated layer that shows the pixel itself", "tfgen/autoregressive/pixels/gated_pixel_cnn.py",
        '"A" if self.first else "B"', '"B"',
        f"{PIXELS} -k 'sum_to_one and Gated'",
    ),
    Mutant(
        "gates that mix the color channels", "tfgen/autoregressive/pixels/gated_pixel_cnn.py",
        "mask, runs=2, **common, **told)", "mask, **common, **told)",
        f"{PIXELS} -k 'each_output and Gated'",
    ),
    Mutant(
        "a vertical stack that keeps its oldest row", "tfgen/autoregressive/pixels/gated_pixel_cnn.py",
        "kept.append(read[1:])", "kept.append(read[:-1])",
        f"{PIXELS} -k 'whole_network and Gated'",
    ),
    Mutant(
        "a horizontal stack without its residual", "tfgen/autoregressive/pixels/gated_pixel_cnn.py",
        "return residual if self.first else residual + h, skip", "return residual, skip",
        f"{PIXELS} -k 'whole_network and Gated'",
    ),
    Mutant(
        "pixels outside the image that are read", "tfgen/autoregressive/pixels/multiscale_pixel_cnn.py",
        "read.append(self.law.read(levels[-1][..., None]) * present)",
        "read.append(self.law.read(levels[-1][..., None]))",
        f"{PIXELS} -k 'whole_network and MultiScale'",
    ),
    Mutant(
        "groups drawn with the noise of a known pixel", "tfgen/autoregressive/pixels/multiscale_pixel_cnn.py",
        "k: v[position][..., channel]", "k: v[0][..., channel]",
        f"{PIXELS} -k 'samples_follow_the_density and MultiScale'",
    ),
    Mutant(
        "a group's green that is blind to red", "tfgen/autoregressive/pixels/multiscale_pixel_cnn.py",
        "h += self.earlier[channel - 1](tf.concat(read, -1))",
        "h += 0.0 * self.earlier[channel - 1](tf.concat(read, -1))",
        f"{PIXELS} -k 'each_output and MultiScale'",
    ),
    Mutant(
        "NADE's hidden layer told of the entry itself", "tfgen/autoregressive/vectors/nade.py",
        "return a + x[:, None] * w, tf.matmul(f(a), v, transpose_b=True)",
        "return a + x[:, None] * w, tf.matmul(f(a + x[:, None] * w), v, transpose_b=True)",
        f"{AUTO}/test_nade.py -k 'sums_to_one or causal'",
    ),
    Mutant(
        "a recursion backwards that leaves the entry in", "tfgen/autoregressive/vectors/nade.py",
        "        a = a - x[:, None] * w\n", "",
        f"{AUTO}/test_nade.py -k 'reversed_recursion'",
    ),
    Mutant(
        "EoNADE's unknown entries weighed by all of them", "tfgen/autoregressive/vectors/nade.py",
        "weights = (self.entries + 1.0) / tf.maximum(unknown, 1.0)",
        "weights = tf.cast(self.entries, tf.float32) / tf.maximum(unknown, 1.0)",
        f"{AUTO}/test_nade.py -k 'agnostic_objective'",
    ),
    Mutant(
        "masks of MADE that show an entry itself", "tfgen/autoregressive/vectors/made.py",
        "known = [rank + 1, *degrees]", "known = [rank, *degrees]",
        f"{AUTO}/test_made.py -k 'masks_are or sums_to_one'",
    ),
    Mutant(
        "a unit of MADE drawn before its turn", "tfgen/autoregressive/vectors/made.py",
        "units[real] = np.argsort(degrees, axis=1, kind=\"stable\").ravel()",
        "units[real] = np.argsort(-degrees, axis=1, kind=\"stable\").ravel()",
        f"{AUTO}/test_made.py -k 'computes_the_raw_outputs'",
    ),
    Mutant(
        "a mixture over orders without its 1/K", "tfgen/autoregressive/vectors/vector_model.py",
        "return tf.reduce_logsumexp(each, axis=0) - math.log(len(self.orders))",
        "return tf.reduce_logsumexp(each, axis=0)",
        f"{AUTO}/test_made.py -k sums_to_one",
    ),
    Mutant(
        "a convolution over time that reads its own step's future", "tfgen/layers/causal.py",
        "padded = tf.pad(x, [[0, 0], [self.reach, 0], [0, 0]])",
        "padded = tf.pad(x, [[0, 0], [self.reach - 1, 1], [0, 0]])",
        "tests/layers/test_causal.py -k formula",
    ),
    Mutant(
        "WaveNet told of the level itself", "tfgen/autoregressive/sequences/wavenet.py",
        "before = tf.pad(x, [[0, 0], [1, 0]], constant_values=-1.0)[:, : tf.shape(x)[1]]",
        "before = x",
        f"{AUTO}/test_wavenet.py -k sum_to_one",
    ),
    Mutant(
        "a ring that is one slot off", "tfgen/autoregressive/sequences/wavenet.py",
        "past = tf.unstack(tf.gather(rings, slots))",
        "past = tf.unstack(tf.gather(rings, self._slots(number + 1)))",
        f"{AUTO}/test_wavenet.py -k sampler",
    ),
    Mutant(
        "steps that are known but overwritten behind an end",
        "tfgen/autoregressive/sequences/sequence_model.py",
        'blank &= ~inputs["mask"]', "pass",
        f"{AUTO}/test_sequence_model.py -k zeros_follow",
    ),
    Mutant(
        "a stroke that is cut off where the window passes the end",
        "tfgen/autoregressive/sequences/handwriting.py",
        "(past & (before[:, 2] == 1.0))", "past",
        f"{AUTO}/test_handwriting.py -k stops",
    ),
    Mutant(
        "a condition that each step of WaveNet forgets", "tfgen/autoregressive/sequences/wavenet.py",
        "self.conv.combine(tf.concat([*taps, h], axis=-1)) + shift",
        "self.conv.combine(tf.concat([*taps, h], axis=-1)) + 0.0 * shift",
        f"{AUTO}/test_wavenet.py -k each_pair",
    ),
    Mutant(
        "a gradient of the recurrent kernel from the wrong states", "tfgen/layers/recurrence.py",
        "states, d_gates = saved[\"before\"][0]", "states, d_gates = saved[\"output\"]",
        "tests/layers/test_recurrent.py -k keras",
    ),
    Mutant(
        "states that go on beyond the length", "tfgen/layers/recurrence.py",
        "if alive is None:", "if True:",
        "tests/layers/test_recurrent.py -k lengths_stop",
    ),
    Mutant(
        "a mixture of networks that forgets its posterior",
        "tfgen/autoregressive/sequences/mixture_of_rnns.py",
        "weights += tf.gather(predicted,", "weights += 0.0 * tf.gather(predicted,",
        f"{AUTO}/test_mixture_of_rnns.py -k 'sampler or continuations'",
    ),
    Mutant(
        "Gaussians of a pen without their correlation's normalizer", "tfgen/distributions/stroke_mixture.py",
        " + 0.5 * tf.math.log(unexplained)", "",
        "tests/distributions/test_stroke_mixture.py -k 'scipys or integrates'",
    ),
    Mutant(
        "a window that starts anew at each step", "tfgen/layers/soft_window.py",
        "        kappa += move\n", "        kappa = move\n",
        "tests/layers/test_soft_window.py",
    ),
    Mutant(
        "attention to what fills a history up", "tfgen/autoregressive/sequences/reply_rnn.py",
        "weights = tf.nn.softmax(tf.where(counts, tf.cast(scores, tf.float32), -1e9))",
        "weights = tf.nn.softmax(tf.cast(scores, tf.float32))",
        f"{AUTO}/test_dialogue.py -k 'attention or filling'",
    ),
    Mutant(
        "beams that keep their parents' states", "tfgen/autoregressive/sequences/beam.py",
        "flat = tf.reshape(rows + parent, [num * width])",
        "flat = tf.reshape(rows + tf.range(width), [num * width])",
        f"{AUTO}/test_dialogue.py -k beams",
    ),
    Mutant(
        "right states that are not shifted down", "tfgen/autoregressive/pixels/pixel_rnn.py",
        "tf.pad(right[:, :-1, ::-1], [[0, 0], [1, 0], [0, 0], [0, 0]])", "right[:, :, ::-1]",
        f"{PIXELS} -k 'sum_to_one and diagonal'",
    ),
    Mutant(
        "a Row LSTM sampler that forgets the cells above", "tfgen/autoregressive/pixels/pixel_rnn.py",
        "return gates, tf.transpose(cells[:, 0], (1, 0, 2, 3))",
        "return gates, 0.0 * tf.transpose(cells[:, 0], (1, 0, 2, 3))",
        f"{PIXELS} -k 'whole_network and row'",
    ),
    Mutant(
        "a law whose known value is drawn again", "tfgen/distributions/laws.py",
        'return tf.where(noise["mask"], noise["given"], x) if "mask" in noise else x\n\n'
        "        return Draws(self._entries_first(event_shape, noise), entry)\n\n\nclass LogisticMixture",
        "return x\n\n"
        "        return Draws(self._entries_first(event_shape, noise), entry)\n\n\nclass LogisticMixture",
        "tests/distributions/test_laws.py -k known",
    ),
    Mutant(
        "levels of a law drawn at their location alone", "tfgen/distributions/laws.py",
        'self(raw).quantile_of(noise["uniform"], temperature)', "self(raw).quantile_of(0.5, temperature)",
        "tests/distributions/test_laws.py -k logistic_levels",
    ),
    Mutant(
        "an energy distance about the origin", "tfgen/estimators/samples.py",
        "center = tf.reduce_mean(a, axis=0)", "center = tf.zeros_like(a[0])",
        "tests/estimators/test_samples.py -k far_from",
    ),
    Mutant(
        "a layer that forgets an argument", "tfgen/keras_model.py",
        "return super().get_config() | keras.layers.Layer.get_config(self)",
        "return dict(list(super().get_config().items())[:1]) | keras.layers.Layer.get_config(self)",
        "tests/layers/test_config.py -k every_kind",
    ),
    Mutant(
        "a fit that trains on whatever it is given", "tfgen/keras_model.py",
        "        batch = self.check_fields(fields)\n        with tf.init_scope():",
        "        batch = fields\n        with tf.init_scope():",
        "tests/test_gate.py -k same_sentence",
    ),
    Mutant(
        "a refused batch that moves what does not depend on it", "tfgen/keras_model.py",
        "with tf.control_dependencies(tf.nest.flatten(batch)):", "with tf.control_dependencies([]):",
        "tests/test_gate.py -k same_sentence",
    ),
    Mutant(
        "a data set whose values nobody looks at", "tfgen/model.py",
        "        self.space.check_stored(split.x, data, where)\n", "",
        "tests/test_gate.py -k whole_data_set",
    ),
    Mutant(
        "a NaN that passes for a number", "tfgen/space.py",
        "if self.missing else tf.math.is_finite(x)", "if self.missing else ~tf.math.is_inf(x)",
        "tests/test_gate.py -k same_sentence",
    ),
    Mutant(
        "every batch of an evaluation with the same noise", "tfgen/keras_model.py",
        "random.split(random.fold_in(self.seed, -2 - seen))", "random.split(random.fold_in(self.seed, -2))",
        "tests/test_keras.py -k noise",
    ),
    Mutant(
        "a scheduler that moves one of two optimizers", "tfgen/keras_model.py",
        "alone = Optimizers(optimizers.values())", "alone = Optimizers(list(optimizers.values())[:1])",
        "tests/test_keras.py -k learning_rate_scheduler",
    ),
    Mutant(
        "a mixed model called within Keras' scope", "tfgen/keras_model.py",
        "return self.call(*args, **kwargs)", "return super().__call__(*args, **kwargs)",
        "tests/test_keras.py -k mixed",
    ),
    Mutant(
        "validation of the weights before the pass was applied", "tfgen/keras_model.py",
        '        """Validation is of the weights with which the epoch ends."""\n        self._finish()',
        '        """Validation is of the weights with which the epoch ends."""',
        "tests/test_keras.py -k validation_is_of",
    ),
    Mutant(
        "a seed folded onto another", "tfgen/random.py",
        "if not -(2**63) <= seed < 2**63:", "if False:",
        "tests/test_random.py -k told_apart",
    ),
    Mutant(
        "a validation batch of one", "tfgen/training/batches.py",
        "count % size == 1:", "count % size == -1:",
        "tests/training/test_batches.py -k held_out",
    ),
    Mutant(
        "an interval of one example", "tfgen/evaluation/report.py",
        "if len(each) < 2:", "if len(each) < 1:",
        "tests/evaluation/test_report.py -k one_test_example",
    ),
    Mutant(
        "figures in TF32", "tfgen/estimators/precision.py",
        "enable_tensor_float_32_execution(False)", "enable_tensor_float_32_execution(before)",
        "tests/estimators/test_precision.py -k switch",
    ),
    Mutant(
        "chunks of samples that repeat", "tfgen/evaluation/sample_report.py",
        "random.fold_in(seed, start) if start else seed", "seed",
        "tests/evaluation/test_report.py -k different_seeds",
    ),
    Mutant(
        "a served text scored without its end", "tfgen/media/text.py",
        "tf.float32), lengths + 1", "tf.float32), lengths",
        "tests/serving/test_served_texts.py -k replies",
    ),
    Mutant(
        "no rows handed to the model", "tfgen/serving/graphs.py",
        "tf.cond(none,", "tf.cond(none & False,",
        "tests/conformance/test_serving.py -k 'GatedPixelCNN and round'",
    ),
    Mutant(
        "mean-field precisions of the structured factors",
        "tfgen/classical/bayesian_gaussian_mixture.py",
        "            scatter *= tf.reshape(dof / (dof - 1.0), [-1] + [1] * (scatter.shape.rank - 1))\n",
        "",
        f"{BAYES} -k highest_bound",
    ),
    Mutant(
        "the mean left out of the divergence",
        "tfgen/classical/conjugate.py",
        "return of_mean + self._wishart_kl(prior)",
        "return self._wishart_kl(prior)",
        f"{BAYES} -k 'structured_is_exact or wisharts'",
    ),
    Mutant(
        "a predictive that is as sure as the expected precision",
        "tfgen/classical/conjugate.py",
        "_like((1.0 + self.strength) / self.strength, self.scatter)",
        "1.0",
        f"{BAYES} -k predictive_integrates",
    ),
    Mutant(
        "a natural-gradient step that forgets the size of the data",
        "tfgen/classical/bayesian_gaussian_mixture.py",
        "new = {name: scale * sums[name] for name in",
        "new = {name: sums[name] for name in",
        f"{BAYES} -k batches_end",
    ),
    Mutant(
        "words that are rare in all topics",
        "tfgen/classical/latent_dirichlet_allocation.py",
        "shift = tf.reduce_max(log_beta, axis=0)",
        "shift = tf.zeros_like(log_beta[0])",
        f"{TOPICS} -k underflow",
    ),
    Mutant(
        "documents that are done and forget their topics",
        "tfgen/classical/latent_dirichlet_allocation.py",
        "gamma = tf.tensor_scatter_nd_update(gamma, chosen[:, None], found)\n",
        "pass\n",
        f"{TOPICS} -k natural_gradient",
    ),
    Mutant(
        "documents left out while they move",
        "tfgen/classical/latent_dirichlet_allocation.py",
        "tf.argsort(tf.cast(~moving, tf.int32), stable=True)",
        "tf.argsort(tf.cast(moving, tf.int32), stable=True)",
        f"{TOPICS} -k all_words_lead",
    ),
    Mutant(
        "words of no topic of a document's, divided by 0",
        "tfgen/classical/latent_dirichlet_allocation.py",
        "return tf.maximum(tf.matmul(theta, beta), _LEAST)",
        "return tf.matmul(theta, beta)",
        f"{TOPICS} -k no_obstacle",
    ),
    Mutant(
        "digamma's series with a wrong term", "tfgen/classical/conjugate.py",
        "37.0 / 5760.0", "7.0 / 5760.0",
        f"{TOPICS} -k exp_digamma",
    ),
    Mutant(
        "documents without the divergence of their shares",
        "tfgen/classical/latent_dirichlet_allocation.py",
        'return words - conjugate.dirichlet_kl(found["gamma"], self.document_concentration)',
        "return words",
        f"{TOPICS} -k 'posterior or below'",
    ),
    Mutant(
        "gammas of the next concentration",
        "tfgen/random.py",
        "tf.math.log(above) + tf.math.log(_uniform_like(second, concentration)) / concentration",
        "tf.math.log(above)",
        f"{TOPICS} -k gamma_dirichlet",
    ),
)  # fmt: skip


def run(tree, tests):
    """Whether the tests pass in that tree, and the end of what they said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", *shlex.split(tests)],
        cwd=tree,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout[-1500:]


def unbroken(mutants):
    """What must pass before anything is broken: each test named once, a run for each file.

    Args:
      mutants: The chosen ones.

    Returns:
      pytest arguments, a list of strings.
    """
    expressions = {}
    for mutant in mutants:
        file, *options = shlex.split(mutant.tests)
        chosen = dict(zip(options[::2], options[1::2], strict=True))
        expressions.setdefault((file, chosen.get("-m")), set()).add(chosen.get("-k"))
    runs = []
    for (file, marked), named in expressions.items():
        arguments = [file] if marked is None else [file, "-m", marked]
        if None not in named:
            arguments += ["-k", " or ".join(f"({k})" for k in sorted(named))]
        runs.append(shlex.join(arguments))
    return runs


def survives(tree, mutant):
    """Applies a mutant, runs its tests, takes it back; whether they passed all the same."""
    path = tree / mutant.path
    whole = path.read_text()
    path.write_text(whole.replace(mutant.right, mutant.wrong))
    try:
        code, said = run(tree, mutant.tests)
    finally:
        path.write_text(whole)
    if code not in (0, 1):
        raise RuntimeError(f"{mutant.name}: pytest could not run: {said}")
    return code == 0


def on_trees(function, items, trees):
    """Yields (item, `function(tree, item)`) as they are done, one at a time on each tree."""
    free = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)

    def call(item):
        tree = free.get()
        try:
            return item, function(tree, item)
        finally:
            free.put(tree)

    with concurrent.futures.ThreadPoolExecutor(len(trees)) as pool:
        yield from (
            f.result() for f in concurrent.futures.as_completed([pool.submit(call, i) for i in items])
        )


def main():
    """Runs the chosen mutants; exits with 1 if one survives."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--trees", type=int, default=2, help="how many are run at the same time")
    asked = parser.parse_args()
    chosen = [m for m in MUTANTS if asked.only in m.name]
    with tempfile.TemporaryDirectory() as place:
        trees = [pathlib.Path(place, f"tree-{i}") for i in range(asked.trees)]
        ignored = shutil.ignore_patterns(".git", ".venv*", "runs", "__pycache__")
        for tree in trees:
            shutil.copytree(ROOT, tree, ignore=ignored)
        for tests, (code, said) in on_trees(run, unbroken(chosen), trees):
            if code:
                sys.exit(f"unbroken, {tests} must pass:\n{said}")
        survivors = []
        for mutant, alive in on_trees(survives, chosen, trees):
            print(f"{'SURVIVED' if alive else 'noticed '}  {mutant.name}", flush=True)
            survivors += [mutant.name] * alive
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} noticed")
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
