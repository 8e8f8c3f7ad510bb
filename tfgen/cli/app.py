"""An app: one model, its defaults, its command line."""

import math
import os
import pathlib
import sys

from absl import flags, logging

from tfgen import progress
from tfgen.cli import flagset, hints
from tfgen.cli.constructor import public_path
from tfgen.cli.hints import UsageError
from tfgen.cli.program import program
from tfgen.cli.run_directory import RunDirectory

# What may differ when a run is resumed: it changes nothing of what the remaining steps compute.
_FREE_ON_RESUME = {
    "resume", "overwrite", "steps", "data_dir", "download", "run_dir", "num", "temperature", "checkpoint",
    "importance_samples", "xla", "help", "tpu", "preset", "early_stopping", "prompt", "label", "output",
    "list_datasets", "input", "keep", "stream", "dry_run",
}  # fmt: skip


class App:
    """The command line of one model.

    Args:
      model: Dotted path of the model class, as users import it: "tfgen.variational.VAE". Its constructor's
        arguments become flags; one that is annotated `GenerativeModel | None` becomes --NAME_run, the
        directory of a run whose trained model is copied into this one's run.
      dataset: Default data set.
      binarize: Default binarization.
      steps: Default number of training steps.
      batch_size: Default batch size.
      learning_rate: Default learning rate.
      optimizer: Keras optimizer as the flag writes it, "sgd:momentum=0.9", or a dict with its "name" and
        arguments; so in presets.
      checkpoint_every: Default number of steps between evaluations; None is a tenth of the steps.
      presets: Flags by name, for each published configuration.
      own_data: Flags for other data than the default set, taken unless they are given, by what the values
        are: {"levels": {...}} for more than two levels, {"real": {...}} for real values. The default
        binarization is for the default set alone.
      commands: What one can do with a run of this model besides, each a method of it by name, with a line for
        the help. The method is given those of "temperature" and "seed" that it takes.
      **overrides: Defaults of other flags: of the constructor's arguments, or shared ones such as `ema`.
    """

    def __init__(
        self,
        model,
        dataset="digits",
        binarize="none",
        steps=1000,
        batch_size=128,
        learning_rate=1e-3,
        optimizer="adam",
        checkpoint_every=None,
        presets=None,
        own_data=None,
        commands=None,
        **overrides,
    ):
        caller = sys._getframe(1).f_globals
        # A notebook has no file: the model's name is the app's then.
        self.name = pathlib.Path(caller.get("__file__", model.rpartition(".")[2].lower())).stem
        self.summary, self.model = caller["__doc__"] or "", public_path(model)
        self.presets, self.commands, self.overrides = presets or {}, commands or {}, overrides
        self.own_data = own_data or {}
        self.defaults = flagset.Defaults(
            dataset,
            binarize,
            steps,
            batch_size,
            learning_rate,
            flagset.described(optimizer),
            checkpoint_every,
            f"runs/{self.name}",
        )

    def run(self, argv=None):
        """Runs the command line and exits.

        Args:
          argv: Arguments without the program's name; None takes the process's.
        """
        carry_out(self.main, argv)

    def main(self, argv):
        """Parses and carries out one command line.

        Raises:
          ValueError: If it cannot be done; the message is one line for the user.
        """
        values, arguments = self.flags()
        command = self._parse(values, argv)
        if values["help"].value:
            every = flagset.COMMANDS | self.commands
            summary = self.summary.replace(f"python -m apps.{self.name}", program(self.name))
            print(flagset.help_text(values, arguments, summary, program(self.name), every))
            return
        if values["list_datasets"].value:
            _list_datasets()
            return
        run = RunDirectory(values["run_dir"].value)
        settings = {name: values[name].value for name in values if name in _FREE_ON_RESUME}
        if command == "sample" and "length" in values and values["length"].present:
            settings["length"] = values["length"].value
        if settings["resume"] and settings["overwrite"]:
            raise UsageError("--resume and --overwrite exclude each other: leave one out.")
        if command == "train" and settings["resume"] and not run.holds_run:
            print(f"run_dir={run.path} holds no run: starting at step 0")
            settings["resume"] = False
        if command == "train" and not settings["resume"]:
            settings |= self._for_own_data(values)
        if command == "train" and not settings["resume"]:
            config = {
                "model": self.model,
                "optimizer": values["optimizer"].value,
                "flags": flagset.chosen(values, [n for n in values if n not in _FREE_ON_RESUME]),
                "steps": settings["steps"],
                "data_dir": settings["data_dir"],
            }
            run.check_free(settings["overwrite"])
        else:
            config = self._stored(run, values, command, arguments)
            settings["data_dir"] = settings["data_dir"] or config.get("data_dir")
        if command == "train" and settings["resume"] and config.get("finished") == config["steps"]:
            print(f"resumed at step {config['steps']}: the run is finished; more --steps go on with it")
            return
        settings["present"] = [name for name in values if values[name].present]
        with progress.shown(), progress.doing("starting TensorFlow"):
            start_tensorflow()
            from tfgen.cli import commands
        if command in self.commands:
            commands.further(command, config, run, settings)
            return
        with progress.shown():
            getattr(commands, command)(config, run, settings, arguments)

    def parse(self, argv):
        """Flags of a command line, each checked by itself; nothing is read, written or carried out.

        Returns:
          (command, absl FlagValues).

        Raises:
          ValueError: If there is no such command or preset.
          absl.flags.Error: If there is no such flag, or it does not take the value.
        """
        values, _ = self.flags()
        return self._parse(values, argv), values

    def flags(self):
        """Its flags: (absl FlagValues, those of them that are the constructor's `Argument`s by name)."""
        return flagset.define(self.model, self.defaults, self.overrides, self.presets)

    def _parse(self, values, argv):
        words = hints.parse(values, argv, program(self.name), lambda *told: self._epochs(values, *told))
        command, *rest = words or ["train"]
        if rest:
            raise UsageError(f"unexpected argument {rest[0]!r}: flags are written --name=value.")
        if command == "help":
            values["help"].value, command = True, "train"
        known = flagset.COMMANDS | self.commands
        if command not in known:
            raise UsageError(f"unknown command {command!r}; it is one of {', '.join(known)}.")
        if command == "train" and values["output"].present:
            raise UsageError(
                f"--output={values['output'].value} names what sample and evaluate write: a training writes "
                "into --run_dir."
            )
        if values["input"].value is not None:
            self._check_input(values, command)
        if values["learning_rate"].present and "learning_rate" in values["optimizer"].value:
            raise UsageError(
                f"--learning_rate={values['learning_rate'].value} and the learning_rate of "
                f"--optimizer={flagset.text_of(values['optimizer'].value)} exclude each other: leave one out."
            )
        preset = values["preset"].value
        if preset is not None:
            if preset not in self.presets:
                raise UsageError(f"{self.name} has no preset {preset!r}.")
            for name, value in self.presets[preset].items():
                if not values[name].present:
                    values[name].value = flagset.described(value) if name == "optimizer" else value
        if values["checkpoint_every"].value is None:
            values["checkpoint_every"].value = max(1, values["steps"].value // 10)
        if values["ema"].value is not None and values["ema"].value >= 1:
            raise UsageError(f"flag --ema={values['ema'].value}: takes a number below 1.")
        return command

    def _check_input(self, values, command):
        told = f"--input={values['input'].value}"
        if command == "train":
            raise UsageError(f"{told}: a training reads --dataset, as in --dataset=file:PATH.")
        if command == "export":
            raise UsageError(f"{told}: an export reads nothing; leave it out.")
        other = {"sample": "prompt", "evaluate": "dataset"}.get(command)
        if other and values[other].present:
            raise UsageError(f"{told} and --{other} exclude each other: leave one out.")

    def _epochs(self, values, name, number, argv):
        """What to give instead of a number of epochs."""
        told = f"--{name}={number}: the length of a training is said in --steps here"
        try:
            hints.parse(values, argv, program(self.name))
            options = (*flagset.DATA_OPTIONS, *flagset.DATA_OPTIONS_OF_MODELS)
            named = {name: values[name].value for name in ("dataset", *options) if name in values}
            passes, batch_size = float(number), values["batch_size"].value
            if not 0 < passes < math.inf:
                raise ValueError("no number of epochs")
            start_tensorflow()
            from tfgen.cli import commands

            given = {name: values[name].value for name in ("data_dir", "download")}
            count = len(commands.load_data(named | {"binarize": "none"}, given).train)
        except (ValueError, OSError, flags.Error):
            return f"{told}, each with a batch of --batch_size examples."
        return (
            f"{told}: {passes:g} passes over the {count} training examples of {named['dataset']} in "
            f"batches of {batch_size} are --steps={math.ceil(passes * count / batch_size)}."
        )

    def _for_own_data(self, values):
        """Settings of `train` for another data set than the one that the app's defaults are for."""
        preset = self.presets.get(values["preset"].value, {})
        if values["dataset"].value == preset.get("dataset", self.defaults.dataset):
            return {"own_data": None, "given": set()}
        if not values["binarize"].present:
            values["binarize"].value = "none"
        return {"own_data": self.own_data, "given": {n for n in values if values[n].present or n in preset}}

    def _stored(self, run, values, command, arguments):
        """The configuration of an earlier run; flags given now must agree with it."""
        config = run.config()
        # Runs of earlier releases lack some of the flags.
        then = {"schedule": "constant", "warmup": 0}
        if "optimizer" in config:
            then["optimizer"] = flagset.described(config["optimizer"])
        config["flags"] = then | config["flags"]
        if config["model"] != self.model:
            raise UsageError(
                f"run_dir={run.path} holds a run of {config['model'].rpartition('.')[2]}, not of "
                f"{self.model.rpartition('.')[2]}; name another --run_dir."
            )
        preset = self.presets.get(values["preset"].value, {})
        given = flagset.chosen(
            values, [n for n in values if (values[n].present or n in preset) and n not in _FREE_ON_RESUME]
        )
        for name, value in given.items():
            # How long samples are may differ from what the model was made with.
            decides = command == "train" or (name in arguments and (command, name) != ("sample", "length"))
            stored = config["flags"].get(name, values[name].default)
            if decides and stored != value:
                self._refuse(run, values, name, stored, value)
        steps, course = values["steps"], config["flags"]["schedule"]
        if command == "train" and course != "constant" and steps.present and steps.value != config["steps"]:
            raise UsageError(
                f"run_dir={run.path} was trained with --schedule={course}, by which the learning rate is 0 "
                f"at step {config['steps']}: --steps={steps.value} would change what is done already; leave "
                "--steps out or name another --run_dir."
            )
        if command == "train" and "steps" in preset and not steps.present and steps.value != config["steps"]:
            self._refuse(run, values, "steps", config["steps"], steps.value)
        for name in () if command == "train" else ("seed", "dataset", *flagset.DATA_OPTIONS):
            if name in given:
                config = config | {"flags": config["flags"] | {name: given[name]}, f"given_{name}": True}
        if command == "train" and values["steps"].present:
            config = config | {"steps": values["steps"].value}
        return config

    def _refuse(self, run, values, name, stored, value):
        stored, value = flagset.text_of(stored), flagset.text_of(value)
        trained = f"run_dir={run.path} was trained with --{name}={stored}"
        if values[name].present:
            raise UsageError(f"{trained}, got {value}; leave --{name} out or name another --run_dir.")
        raise UsageError(
            f"{trained}, but --preset={values['preset'].value} sets {value}; leave --preset out or "
            "name another --run_dir."
        )


def carry_out(main, argv=None):
    """Runs a command line to its end and exits: 0, 2 after a mistake, said in one line, or as it was stopped.

    Args:
      main: Called with the arguments.
      argv: Arguments without the program's name; None takes the process's.
    """
    try:
        main(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        _fail("stopped at once; go on from the newest checkpoint with --resume", 130)
    except BrokenPipeError:
        # Whoever read the output has seen enough, and nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (ValueError, OSError, flags.Error) as error:
        if os.environ.get("TFGEN_TRACEBACK"):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        _fail(lines[0], 2)
    sys.exit(0)


def _list_datasets():
    from tfgen import data

    print("embedded:")
    for name, description in data.names().items():
        print(f"  {name:<18} {description}")
    print("in --data_dir:")
    for name, description in data.on_disk().items():
        print(f"  {name:<18} {description}")
    print(
        "  any TFDS name      images or texts, as mnist, cifar10, tiny_shakespeare; --download fetches them"
    )
    print("your own:")
    for name, description in data.OWN.items():
        print(f"  {name:<18} {description}")


def _fail(message, code):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def start_tensorflow():
    """Imports TensorFlow without its start-up messages, which no level of logging silences."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    logging.set_verbosity(logging.ERROR)
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
