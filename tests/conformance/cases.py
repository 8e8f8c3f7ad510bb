"""One row for each model: its smallest honest instance. A model without a row fails `test_coverage`."""

from collections.abc import Callable
from typing import NamedTuple

from tfgen.adversarial import DCGAN, GAN
from tfgen.autoregressive import (
    FVBN,
    MADE,
    NADE,
    CharRNN,
    DialogueModel,
    GatedPixelCNN,
    HandwritingRNN,
    MixtureOfRNNs,
    MultiScalePixelCNN,
    PixelCNN,
    PixelCNNPlusPlus,
    PixelRNN,
    WaveNet,
)
from tfgen.classical import (
    BayesianGaussianMixture,
    GaussianMixture,
    HiddenMarkovModel,
    KMeans,
    LatentDirichletAllocation,
    ProbabilisticPCA,
)
from tfgen.denoising import GenerativeStochasticNetwork, PlugAndPlay
from tfgen.energy import (
    RBM,
    BoltzmannMachine,
    ConvolutionalRBM,
    DeepBeliefNet,
    DeepBoltzmannMachine,
    GaussianBernoulliRBM,
)
from tfgen.variational import (
    IAFVAE,
    VAE,
    VQVAE,
    VQVAE2,
    Autoencoder,
    CategoricalVAE,
    ConditionalVAE,
    HelmholtzMachine,
    MixturePosteriorVAE,
    PixelVAE,
    SemiAmortizedVAE,
    SemiSupervisedVAE,
    SigmoidBeliefNet,
)


class Case(NamedTuple):
    """A row.

    Args:
      cls: The model.
      arguments: Constructor arguments of a tiny instance, or a function that makes them (of layers, models).
      shapes: Other event shapes that it must take: odd, non-square, one and three channels.
      bad: Constructor arguments that must be refused, each changing one of `arguments`.
      enumerable: Whether all x of the tiny instance can be listed.
      still: Why a gradient update does not move one of its trainable variables, by the end of its path.
      jit: Train it with XLA: two rows of a family do.
      optimizer: What trains it, by stage or update; None for one for all.
    """

    cls: type
    arguments: dict | Callable[[], dict]
    shapes: tuple = ()
    bad: tuple = ()
    enumerable: bool = False
    still: dict = {}  # noqa: RUF012
    jit: bool = False
    optimizer: dict | None = None


CASES = {
    "GaussianMixture": Case(
        GaussianMixture,
        {"event_shape": (2,), "num_components": 3, "covariance": "full"},
        shapes=((1,), (3, 2)),
        bad=({"num_components": 0}, {"covariance": "round"}, {"regularization": -1.0}, {"start": "rows"}),
    ),
    "GaussianMixture of Bernoullis": Case(
        GaussianMixture,
        {"event_shape": (2, 3, 1), "num_components": 3, "likelihood": "bernoulli"},
        shapes=((1,), (3, 2)),
        bad=({"likelihood": "poisson"}, {"pseudo_count": -1.0}),
        enumerable=True,
    ),
    "KMeans": Case(
        KMeans,
        {"event_shape": (2,), "num_clusters": 3},
        shapes=((1,), (3, 2)),
        bad=({"num_clusters": 0}, {"algorithm": "elkan"}, {"start": "rows"}, {"regularization": -1.0}),
    ),
    "KMeans by mini-batches": Case(
        KMeans,
        {"event_shape": (2,), "num_clusters": 3, "algorithm": "mini_batch", "start": "k-means||"},
        jit=True,
    ),
    "ProbabilisticPCA": Case(
        ProbabilisticPCA,
        {"event_shape": (2,), "num_components": 1},
        shapes=((3,), (3, 2), (2, 3, 3)),
        bad=({"num_components": 2}, {"algorithm": "power"}, {"regularization": 0.0}),
    ),
    "ProbabilisticPCA by EM": Case(
        ProbabilisticPCA,
        {"event_shape": (2,), "num_components": 1, "missing": True},
        bad=({"algorithm": "closed_form"},),
    ),
    "HiddenMarkovModel": Case(
        HiddenMarkovModel,
        {"vocabulary": ("a", "h", "t"), "num_states": 2, "length": 4},
        bad=(
            {"num_states": 0},
            {"transitions": "round"},
            {"jump": 0},
            {"length": 0},
            {"smoothing": -1.0},
            {"num_components": 2},
            {"num_values": 2},
            {"event_shape": (4,)},
        ),
        enumerable=True,
    ),
    "HiddenMarkovModel by label": Case(
        HiddenMarkovModel,
        {
            "event_shape": (None, 2),
            "num_states": 2,
            "transitions": "left_right",
            "num_components": 2,
            "covariance": "full",
            "regularization": 0.01,
            "length": 4,
            "condition": "label",
            "num_classes": 2,
        },
        bad=(
            {"covariance": "round"},
            {"num_components": 0},
            {"regularization": -1.0},
            {"condition": "pitch"},
            {"num_classes": None},
        ),
    ),
    "BayesianGaussianMixture": Case(
        BayesianGaussianMixture,
        {"event_shape": (2,), "num_components": 3, "degrees_of_freedom": 9.0},
        shapes=((1,), (3, 2)),
        bad=(
            {"num_components": 0},
            {"covariance": "round"},
            {"inference": "gibbs"},
            {"factorization": "none"},
            {"concentration": 0.0},
            {"mean_strength": 0.0},
            {"degrees_of_freedom": 1.0},
            {"prior_scale": 0.0},
            {"num_examples": 0},
        ),
    ),
    "BayesianGaussianMixture of batches": Case(
        BayesianGaussianMixture,
        {
            "event_shape": (2,),
            "num_components": 3,
            "covariance": "diag",
            "inference": "svi",
            "degrees_of_freedom": 9.0,
            "num_examples": 40,
        },
        shapes=((1,), (3, 2)),
        bad=({"delay": 0.5}, {"forgetting": 0.5}),
    ),
    "LatentDirichletAllocation": Case(
        LatentDirichletAllocation,
        {"event_shape": (4,), "num_topics": 2},
        shapes=((1,), (7,)),
        bad=(
            {"event_shape": (2, 2)},
            {"num_topics": 0},
            {"vocabulary": ("a", "b")},
            {"inference": "gibbs"},
            {"document_concentration": 0.0},
            {"topic_concentration": -1.0},
            {"iterations": 0},
        ),
    ),
    "LatentDirichletAllocation of batches": Case(
        LatentDirichletAllocation,
        {"event_shape": (4,), "num_topics": 2, "inference": "svi", "num_examples": 40},
        bad=({"delay": 0.5}, {"forgetting": 1.5}, {"num_examples": 0}),
    ),
    "PixelCNN": Case(
        PixelCNN,
        {"event_shape": (2, 3, 1), "filters": 4, "num_blocks": 1, "hidden": 4, "head": 3},
        shapes=((3, 2, 1), (2, 3, 3), (1, 5, 1)),
        bad=({"filters": 0}, {"num_blocks": -1}, {"kernel_size": 4}, {"num_values": 1}),
        enumerable=True,
    ),
    "PixelRNN": Case(
        PixelRNN,
        {"event_shape": (2, 3, 1), "num_layers": 1, "hidden": 3, "head": 12},
        shapes=((3, 2, 1), (2, 3, 3), (1, 5, 1)),
        bad=({"layer": "round"}, {"num_layers": 0}, {"hidden": 0}, {"head": 0}),
        enumerable=True,
    ),
    "PixelRNN-row": Case(
        PixelRNN,
        {"event_shape": (2, 3, 1), "layer": "row", "num_layers": 1, "hidden": 3, "head": 12},
        shapes=((3, 2, 1), (2, 3, 3), (5, 1, 1)),
        bad=({"kernel_size": 2},),
        enumerable=True,
    ),
    "GatedPixelCNN": Case(
        GatedPixelCNN,
        {"event_shape": (2, 3, 1), "filters": 4, "num_layers": 2, "head": 16},
        shapes=((3, 2, 1), (2, 3, 3), (1, 5, 1)),
        bad=({"filters": 0}, {"num_layers": 1}, {"kernel_size": 4}, {"num_values": 1}),
        enumerable=True,
    ),
    "FVBN": Case(
        FVBN,
        {"event_shape": (2, 3, 1)},
        shapes=((5,), (3, 2, 3), (1,)),
        bad=({"num_values": 1}, {"order": "sorted"}, {"num_orders": 2}, {"order_seed": -1}),
        enumerable=True,
        jit=True,
    ),
    "NADE": Case(
        NADE,
        {"event_shape": (6,), "hidden": (5,)},
        shapes=((1,), (2, 3, 3)),
        bad=({"hidden": (0,)}, {"hidden": (3, 4)}, {"activation": "step"}),
        enumerable=True,
        jit=True,
    ),
    "EoNADE": Case(
        NADE,
        {
            "event_shape": (3, 2, 1),
            "hidden": (5, 4),
            "agnostic": True,
            "activation": "relu",
            "order": "random",
            "num_orders": 3,
        },
        shapes=((1,), (2, 2, 3)),
        bad=({"num_orders": 0},),
        enumerable=True,
    ),
    "MADE": Case(
        MADE,
        {"event_shape": (6,), "hidden": (12, 6), "num_masks": 2, "order": "random", "num_orders": 2},
        shapes=((1,), (2, 3, 3)),
        bad=({"hidden": ()}, {"hidden": (-1,)}, {"num_masks": 0}),
        enumerable=True,
    ),
    "PixelCNNPlusPlus": Case(
        PixelCNNPlusPlus,
        {"event_shape": (2, 3, 1), "filters": 3, "num_blocks": 1, "num_components": 2, "num_resolutions": 2},
        shapes=((1, 5, 3),),
        bad=(
            {"filters": 0},
            {"num_blocks": 0},
            {"num_components": 0},
            {"num_resolutions": 0},
            {"dropout": 1.0},
        ),
        enumerable=True,
        optimizer={"name": "sgd", "learning_rate": 0.01, "momentum": 0.9},
    ),
    "CharRNN": Case(
        CharRNN,
        {"vocabulary": ("\n", " ", "e", "h", "t"), "length": 4, "units": 6, "layers": 2, "embedding": 3},
        bad=({"units": 0}, {"layers": 0}, {"cell": "rnn"}, {"dropout": 1.0}, {"length": 0}),
        enumerable=True,
    ),
    "DialogueModel": Case(
        DialogueModel,
        {
            "vocabulary": ("<end>", "<turn>", "<unknown>", "the", "hi"),
            "length": 4,
            "units": 5,
            "layers": 2,
            "embedding": 3,
        },
        bad=(
            {"units": 0},
            {"memory": 0},
            {"turns": 0},
            {"cell": "rnn"},
            {"condition": "label"},
        ),
        enumerable=True,
    ),
    "DialogueModel without history": Case(
        DialogueModel,
        {"condition": "none", "num_values": 3, "length": 4, "units": 5, "embedding": 3, "cell": "gru"},
        bad=({"num_values": 2}, {"dropout": 1.0}),
        enumerable=True,
    ),
    "MixtureOfRNNs": Case(
        MixtureOfRNNs,
        {"vocabulary": ("a", "b", "'"), "length": 4, "units": 5, "embedding": 3, "flat_steps": 0},
        bad=({"num_components": 0}, {"flatness": 0.5}, {"cell": "rnn"}),
        enumerable=True,
    ),
    "MultiScalePixelCNN": Case(
        MultiScalePixelCNN,
        {
            "event_shape": (2, 3, 1),
            "base_size": 2,
            "filters": 6,
            "num_blocks": 1,
            "base_filters": 6,
            "base_blocks": 1,
        },
        shapes=((3, 2, 1), (5, 3, 3), (1, 5, 1)),
        bad=({"base_size": 0}, {"filters": 0}, {"num_blocks": -1}, {"num_values": 1}),
        enumerable=True,
    ),
    "HandwritingRNN": Case(
        HandwritingRNN,
        {"event_shape": (None, 3), "length": 4, "units": 6, "num_components": 3},
        bad=(
            {"event_shape": (None, 2)},
            {"units": 0},
            {"layers": 0},
            {"num_components": 0},
            {"condition": "label"},
            {"length": 0},
        ),
    ),
    "HandwritingRNN by text": Case(
        HandwritingRNN,
        {
            "condition": "text",
            "vocabulary": ("", "e", "h", "t"),
            "length": 4,
            "units": 6,
            "num_components": 2,
            "num_windows": 2,
        },
        bad=({"vocabulary": None}, {"num_windows": 0}),
    ),
    "WaveNet": Case(
        WaveNet,
        {"num_values": 3, "length": 4, "filters": 3, "num_layers": 2, "head": 4},
        bad=(
            {"filters": 0},
            {"num_layers": 0},
            {"num_stacks": 0},
            {"kernel_size": 1},
            {"head": 0},
            {"rate": 0},
            {"num_values": 1},
            {"event_shape": (4,)},
        ),
        enumerable=True,
    ),
    "WaveNet by label": Case(
        WaveNet,
        {
            "length": 4,
            "num_values": 2,
            "one_hot": False,
            "filters": 3,
            "num_layers": 1,
            "num_stacks": 2,
            "kernel_size": 3,
            "head": 4,
            "condition": "label",
            "num_classes": (2, 3),
        },
        bad=({"num_classes": None}, {"condition": "pitch"}),
        enumerable=True,
    ),
    "VAE": Case(
        VAE,
        {"event_shape": (2, 2, 1), "latent_size": 2, "hidden": (5,)},
        shapes=((3,), (5, 3, 3)),
        bad=({"latent_size": 0}, {"hidden": (0,)}, {"likelihood": "poison"}, {"beta": -1.0}),
        enumerable=True,
        jit=True,
    ),
    "Autoencoder": Case(
        Autoencoder,
        {
            "event_shape": (2, 2, 1),
            "code_size": 2,
            "hidden": (5,),
            "corruption": "mask",
            "l2": 0.01,
            "fine_tune": 1.0,
            "num_classes": 3,
        },
        shapes=((3,), (5, 3, 3)),
        bad=(
            {"code_size": 0},
            {"hidden": (0,)},
            {"output_activation": "tanh"},
            {"corruption": "blur"},
            {"corruption_level": 2.0},
            {"l2": -1.0},
            {"num_classes": None},
        ),
    ),
    "SemiSupervisedVAE": Case(
        SemiSupervisedVAE,
        {
            "event_shape": (2, 2, 1),
            "num_classes": 3,
            "latent_size": 2,
            "hidden": (5,),
            "classifier_hidden": (4,),
        },
        shapes=((3,), (5, 3, 3)),
        bad=({"num_classes": 1}, {"latent_size": 0}, {"classifier_weight": -1.0}, {"likelihood": "poison"}),
    ),
    "CategoricalVAE": Case(
        CategoricalVAE,
        {"event_shape": (2, 2, 1), "num_latents": 2, "num_categories": 3, "hidden": (5,)},
        shapes=((3,), (5, 3, 3)),
        bad=(
            {"num_latents": 0},
            {"num_categories": 1},
            {"estimator": "vimco"},
            {"start_temperature": 0.0},
            {"likelihood": "poison"},
        ),
        enumerable=True,
    ),
    "HelmholtzMachine": Case(
        HelmholtzMachine,
        {"event_shape": (2, 2, 1), "hidden": (3, 2)},
        shapes=((3,), (2, 3, 3)),
        bad=({"hidden": ()}, {"hidden": (0,)}),
        enumerable=True,
    ),
    "SigmoidBeliefNet": Case(
        SigmoidBeliefNet,
        {"event_shape": (2, 2, 1), "hidden": (3, 2), "estimator": "nvil", "baseline_hidden": 3},
        shapes=((3,), (2, 3, 3)),
        bad=({"estimator": "em"}, {"num_samples": 0}, {"sleep_weight": -1.0}, {"baseline_hidden": 0}),
        enumerable=True,
    ),
    "VQVAE": Case(
        VQVAE,
        {
            "event_shape": (4, 4, 1),
            "num_codes": 4,
            "code_size": 2,
            "halvings": 1,
            "filters": 4,
            "num_blocks": 1,
            "hidden": 3,
            "prior_filters": 16,
            "prior_layers": 2,
        },
        shapes=((2, 6, 3),),
        bad=(
            {"num_codes": 1},
            {"code_size": 0},
            {"event_shape": (3, 4, 1)},
            {"halvings": -1},
            {"filters": 0},
            {"codebook": "kmeans"},
            {"decay": 1.0},
            {"revive": -0.5},
            {"commitment": -1.0},
            {"likelihood": "poison"},
            {"prior_filters": 0},
            {"prior_layers": 1},
            {"prior_share": 0.0},
            {"condition": "pitch"},
        ),
    ),
    "VQVAE2": Case(
        VQVAE2,
        {
            "event_shape": (4, 4, 1),
            "num_codes": 4,
            "code_size": 2,
            "halvings": 0,
            "filters": 8,
            "num_blocks": 0,
            "hidden": 3,
            "codebook": "gradient",
            "prior_filters": 12,
            "top_layers": 2,
            "bottom_layers": 2,
            "condition": "label",
            "num_classes": 3,
        },
        shapes=((2, 6, 3),),
        bad=(
            {"num_codes": 1},
            {"code_size": 0},
            {"event_shape": (5, 4, 1)},
            {"halvings": 2},
            {"hidden": 0},
            {"prior_filters": 0},
            {"top_layers": 1},
            {"bottom_layers": 0},
            {"num_classes": None},
        ),
    ),
    "PixelVAE": Case(
        PixelVAE,
        {
            "event_shape": (2, 2, 1),
            "latent_size": 4,
            "hidden": (5,),
            "filters": (4,),
            "activation": "tanh",
            "features": 3,
            "pixel_filters": 12,
            "pixel_layers": 2,
        },
        shapes=((3, 5, 3),),
        bad=(
            {"latent_size": 0},
            {"hidden": (0,)},
            {"filters": (0,)},
            {"features": 0},
            {"pixel_filters": 0},
            {"pixel_layers": 1},
            {"kernel_size": 2},
            {"num_values": 1},
            {"prior": "flat"},
            {"posterior": "round"},
        ),
    ),
    "ConditionalVAE": Case(
        ConditionalVAE,
        {"event_shape": (2, 2, 1), "latent_size": 2, "hidden": (5,), "num_classes": 3},
        shapes=((3,),),
        bad=({"condition": "none"}, {"num_classes": None}, {"latent_size": 0}, {"prior": "vamp"}),
        enumerable=True,
    ),
    "MixturePosteriorVAE": Case(
        MixturePosteriorVAE,
        {"event_shape": (2, 2, 1), "latent_size": 2, "hidden": (5,), "num_components": 2},
        shapes=((3,),),
        bad=({"num_components": 0}, {"objective": "vimco"}, {"num_groups": 2}),
        enumerable=True,
    ),
    "IAFVAE": Case(
        IAFVAE,
        {"event_shape": (2, 2, 1), "latent_size": 2, "hidden": (5,), "flow_hidden": 6, "flow_context": 2},
        shapes=((3,),),
        # That its bounds sum to one is in its oracles, with a posterior no thinner than the true ones.
        bad=({"num_flows": 0}, {"free_bits": 0.5}, {"beta_cycle": 5}),
    ),
    "SemiAmortizedVAE": Case(
        SemiAmortizedVAE,
        {"event_shape": (2, 2, 1), "latent_size": 2, "hidden": (5,), "activation": "tanh", "refine_steps": 2},
        shapes=((3,),),
        bad=({"refine_steps": 0}, {"refine_rate": 0.0}, {"refine_samples": 0}),
        enumerable=True,
    ),
    "RBM": Case(
        RBM,
        {"event_shape": (2, 2, 1), "num_hidden": 3, "num_sweeps": 20},
        shapes=((5,), (3, 2, 3)),
        bad=({"num_hidden": 0}, {"estimator": "guess"}, {"num_sweeps": 0}),
        enumerable=True,
        jit=True,
    ),
    "RBM with labels": Case(
        RBM,
        {
            "event_shape": (2, 2, 1),
            "num_hidden": 3,
            "condition": "label",
            "num_classes": 3,
            "label_weight": 0.5,
            "estimator": "pseudo_likelihood",
            "centring": True,
            "num_sweeps": 20,
        },
        bad=({"num_classes": 0}, {"label_weight": 2.0}, {"sparsity": 1.0}, {"weight_decay": -1.0}),
    ),
    "BoltzmannMachine": Case(
        BoltzmannMachine,
        {"event_shape": (2, 2, 1), "num_hidden": 2, "num_sweeps": 20},
        shapes=((5,), (1, 2, 3)),
        bad=({"num_hidden": 0}, {"inference": "guess"}, {"num_gibbs": 0}, {"estimator": "nce"}),
        enumerable=True,
    ),
    "GaussianBernoulliRBM": Case(
        GaussianBernoulliRBM,
        {"event_shape": (2,), "num_hidden": 3, "estimator": "cd", "num_sweeps": 20},
        shapes=((5,), (3, 2, 3)),
        bad=({"num_hidden": 0}, {"estimator": "pseudo_likelihood"}),
    ),
    "DeepBeliefNet": Case(
        DeepBeliefNet,
        {
            "event_shape": (2, 2, 1),
            "hidden": (3, 2),
            "estimator": "cd",
            "fine_tuning": "discriminative",
            "num_classes": 3,
        },
        shapes=((5,), (3, 2, 3)),
        bad=({"hidden": (3,)}, {"num_gibbs": 0}, {"fine_tuning": "all"}, {"condition": "vector"}),
        enumerable=True,
    ),
    "DeepBoltzmannMachine": Case(
        DeepBoltzmannMachine,
        {"event_shape": (2, 2, 1), "hidden": (3, 2), "num_sweeps": 20},
        shapes=((5,), (3, 2, 3)),
        bad=({"hidden": (3,)}, {"estimator": "nce"}, {"fine_tuning": "all"}),
        enumerable=True,
    ),
    "ConvolutionalRBM": Case(
        ConvolutionalRBM,
        {"event_shape": (3, 3, 1), "filters": (2,), "kernel_size": (2,)},
        shapes=((5, 3, 3),),
        bad=({"kernel_size": (4,)}, {"pooling": (3,)}, {"filters": (0,)}, {"values": "unit"}),
        enumerable=True,
    ),
    "ConvolutionalRBM in a stack": Case(
        ConvolutionalRBM,
        {"event_shape": (3, 3, 1), "filters": (2, 3), "kernel_size": (2, 1), "estimator": "cd"},
    ),
    "GenerativeStochasticNetwork": Case(
        GenerativeStochasticNetwork,
        {"event_shape": (2, 3, 1), "hidden": (5, 4), "num_walkback": 2, "num_steps": 4},
        shapes=((5,), (3, 2, 3)),
        bad=(
            {"hidden": ()},
            {"num_walkback": 1},
            {"corruption": 1.5},
            {"noise": -1.0},
            {"first_noise": -1.0},
            {"visible": "grey"},
            {"num_values": 1},
            {"num_steps": 0},
        ),
    ),
    "PlugAndPlay": Case(
        PlugAndPlay,
        {
            "event_shape": (2, 2, 1),
            "latent_size": 2,
            "hidden": (5,),
            "code_hidden": (4,),
            "num_values": 2,
            "num_classes": 3,
            "num_steps": 3,
        },
        shapes=((3,),),
        bad=(
            {"latent_size": 0},
            {"epsilon1": -1.0},
            {"epsilon2": -1.0},
            {"epsilon3": -1.0},
            {"epsilon4": -1.0},
            {"code_noise": 0.0},
            {"num_classes": 0},
            {"network": "rnn"},
            {"classifier_outputs": "scores"},
            {"classifier_path": "nowhere.keras"},
        ),
    ),
    "GAN": Case(
        GAN,
        {"event_shape": (2,), "latent_size": 3, "hidden": (6,)},
        shapes=((5,), (3, 5, 1), (4, 3, 3)),
        bad=({"latent_size": 0}, {"hidden": (-1,)}, {"loss": "win"}),
        jit=True,
    ),
    "DCGAN": Case(
        DCGAN,
        {"event_shape": (8, 8, 1), "latent_size": 3, "base_filters": 4},
        shapes=((7, 9, 3), (5, 4, 1)),
        bad=({"event_shape": (2, 8, 1)}, {"latent_size": 0}, {"base_filters": 0}),
    ),
}


def arguments_of(case):
    """The constructor arguments of a row, made anew where a function makes them."""
    return case.arguments() if callable(case.arguments) else dict(case.arguments)


def make(case, **changes):
    """A model of that case."""
    return case.cls(**(arguments_of(case) | changes))
