"""Names that other programs give to flags, and what to use for them here."""

import re

from absl import flags


class UsageError(ValueError):
    """A mistake on the command line."""


# Flags here, by names elsewhere; of several the first that the model has.
_SAME = {
    "learning_rate": "lr lrate base_lr init_lr initial_lr step_size",
    "steps": "max_steps num_steps n_steps total_steps train_steps training_steps max_train_steps iterations "
    "iters niter n_iter n_iters num_iter num_iters num_iterations max_iter max_iters",
    "batch_size": "batch bs batchsize minibatch minibatch_size mini_batch_size train_batch_size "
    "per_device_train_batch_size",
    "run_dir": "out outdir out_dir output_dir output_path savedir save_dir save_path logdir log_dir log_path "
    "exp_dir exp_name run_name model_dir job_dir workdir work_dir results_dir checkpoint_dir ckpt_dir "
    "checkpoint_path ckpt ckpt_path load load_dir load_path load_from restore restore_from resume_from "
    "model_path",
    "start_from": "weights pretrained pretrained_model initial_weights init_from init_checkpoint finetune "
    "finetune_from fine_tune_from warm_start warmstart transfer_from",
    "latent_size": "latent latents latent_dim latent_dims n_latent num_latents z z_dim zdim z_size nz n_z "
    "noise_dim code_dim code_size dim_z",
    "hidden units num_hidden filters base_filters": "hidden_dim hidden_dims hidden_size hidden_units "
    "hidden_layers hidden_channels n_hidden nhid num_units n_units rnn_size lstm_size d_model model_dim "
    "n_embd width ngf ndf nf num_filters n_filters",
    "schedule": "lr_schedule lr_scheduler lr_scheduler_type lr_policy lr_decay scheduler decay_lr",
    "warmup": "warmup_steps warm_up lr_warmup lr_warmup_steps num_warmup_steps warmup_iters",
    "optimizer": "opt optim optimiser optimizer_name",
    "clip_norm": "clip grad_clip gradient_clip clip_grad clip_grad_norm max_grad_norm gradient_clip_val "
    "clipnorm max_norm",
    "ema": "ema_decay ema_rate use_ema polyak",
    "early_stopping": "patience early_stop es_patience",
    "checkpoint_every": "eval_every eval_interval eval_freq eval_steps save_every save_interval save_freq "
    "save_steps snap snapshot checkpoint_interval checkpoint_freq val_every val_interval val_check_interval "
    "sample_every sample_interval",
    "dataset": "data data_path data_root dataroot data_file datadir dataset_name dataset_path dataset_dir "
    "train_data train_dir train_file train_path image_dir img_dir images folder root corpus",
    "image_size": "img_size imsize im_size resolution crop_size resize",
    "channels": "image_channels img_channels n_channels nc num_channels in_channels",
    "num": "n n_samples num_samples num_images n_images sample_size samples num_return_sequences count",
    "length": "max_length max_len maxlen max_new_tokens num_tokens n_tokens gen_length",
    "window": "seq_len seq_length sequence_length block_size context_length context_size bptt segment_length",
    "temperature": "temp sampling_temperature",
    "prompt": "text start start_text prefix seed_text primer",
    "label": "class class_idx class_id class_label class_name labels target_class",
    "label_column": "target target_column label_col class_column",
    "condition": "cond conditional class_cond class_conditional",
    "importance_samples": "iw_samples num_importance iwae_samples mc_samples",
    "num_labels": "n_labels num_labelled num_labeled n_labeled",
    "seed": "random_seed rng_seed manual_seed random_state",
    "rate": "sample_rate sampling_rate sr",
    "jit": "compile jit_compile use_xla torch_compile",
    "mixed_precision": "fp16 bf16 amp half precision use_fp16 dtype",
    "preset": "config cfg config_file hparams",
    "resume": "continue resume_training auto_resume",
    "overwrite": "force",
    "num_components": "n_components k n_clusters num_clusters",
    "num_codes": "codebook_size num_embeddings n_embeddings n_embed n_codes",
    "code_size embedding": "embedding_dim embed_dim emb_dim embedding_size",
    "input": "input_file infile in_file prompts prompt_file prompts_file file",
}
# What is to be said of further names.
_SAID = {
    "a training takes the first GPU that TensorFlow finds, else the CPU; --strategy=mirrored --replicas=N "
    "takes several, and the environment variable CUDA_VISIBLE_DEVICES chooses them": "gpu gpus gpu_id "
    "gpu_ids ngpu n_gpu n_gpus num_gpus device devices device_ids cuda use_cuda no_cuda use_gpu accelerator",
    "no processes are started to read data; --strategy=mirrored trains on several devices of a machine, "
    "--strategy=multi_worker on several machines": "workers num_workers n_workers data_workers pin_memory "
    "distributed ddp multi_gpu num_nodes world_size",
    "metrics.csv and TensorBoard's files are always written to --run_dir (tensorboard --logdir=DIR shows "
    "them), and lines of progress come by the clock": "wandb use_wandb wandb_project wandb_entity "
    "tensorboard tb logger log_every log_interval log_freq logging_steps print_every print_freq verbose "
    "mlflow report_to",
    "arguments of the optimizer are given with it, as in --optimizer=sgd:momentum=0.9 or "
    "--optimizer=adamw:weight_decay=0.01": "weight_decay wd momentum nesterov beta1 beta2 betas beta_1 "
    "beta_2 adam_beta1 adam_beta2 b1 b2 eps epsilon rho amsgrad",
    "the data set says it": "num_classes n_classes n_class nclass nclasses vocab_size n_vocab",
    "the environment variable TFGEN_TRACEBACK=1 shows where an error comes from": "debug traceback",
}
_COMMANDS = {
    "evaluate": "evaluate eval evaluation do_eval test test_only eval_only validate",
    "sample": "sample generate generation infer inference predict do_sample",
    "train": "train do_train training fit",
    "export": "export save_model onnx serve savedmodel",
    "chat": "chat",
}
EPOCHS = ("epochs", "epoch", "n_epochs", "nepochs", "num_epochs", "max_epochs", "num_train_epochs")


def _by_name(table):
    return {name: value for value, names in table.items() for name in names.split()}


def parse(values, argv, program, epochs=None, known_only=False):
    """Parses a command line; `-h` is `--help`.

    Args:
      values: absl FlagValues, which take their values from it.
      argv: Arguments without the program's name.
      program: The words that start the program.
      epochs: `f(name, number, argv) -> sentence` about the flag `--epochs` beside the others; None where
        nothing is trained.
      known_only: Whether flags that are not known are left to another program.

    Returns:
      The words that are no flags, and flags that are left to another program.

    Raises:
      UsageError: If a flag has another name here; says which.
      absl.flags.Error: If there is no such flag, or a value does not fit.
    """
    argv = ["--help" if word == "-h" else word for word in argv]
    try:
        return values(["program", *argv], known_only=known_only)[1:]
    except flags.UnrecognizedFlagError as error:
        name = known_as(error.flagname)
        if name in EPOCHS and epochs is not None:
            at = next(i for i, word in enumerate(argv) if word.partition("=")[0].strip("-") == error.flagname)
            _, apart, number = argv[at].partition("=")
            rest = argv[at + 1 :] if apart else argv[at + 2 :]
            number = number if apart else "".join(argv[at + 1 : at + 2])
            raise UsageError(epochs(error.flagname, number, argv[:at] + rest)) from error
        said = hint(error.flagname, values, program)
        if said is None:
            raise
        raise UsageError(said) from error
    except flags.IllegalFlagValueError as error:
        if str(error).startswith("flag --checkpoint="):
            raise UsageError(f"{error}; a run's directory is named by --run_dir.") from error
        raise


def known_as(name):
    """A flag's name with underscores and small letters: "imageSize" and "image-size" are "image_size"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def hint(name, values, program):
    """What to use for a flag that is not there; None where nothing is known of it.

    Args:
      name: Its name.
      values: The absl FlagValues that there are.
      program: The words that start the program.
    """
    known = known_as(name)
    if known in values:
        return f"flag --{name} is written --{known}."
    if "run_dir" not in values:
        return None
    candidates = _by_name(_SAME).get(known, "").split()
    for flag in candidates:
        if flag in values:
            return f"flag --{name} is called --{flag} here: {values[flag].help}."
    said, command = _by_name(_SAID).get(known), _by_name(_COMMANDS).get(known)
    if command is not None:
        said = f"what to do is a word, not a flag: {program} {command} --run_dir=DIR"
    if candidates:
        said = "this model has nothing that bears the name elsewhere, --help lists what it has"
    return said and f"there is no flag --{name}: {said}."
