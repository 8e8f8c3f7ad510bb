"""Layer by layer: stages that train one machine after the other, each on what those below make of x."""

import dataclasses

import tensorflow as tf

from tfgen import random
from tfgen.model import Stage


def greedy_stages(machines, inputs, below_done, transposed=True):
    """Stages that train machines one after the other (Hinton, Osindero & Teh 2006).

    Args:
      machines: Energy-based models, the lowest first; each has `updates`, `begin` and an objective of flat x.
      inputs: `f(k, x, seed)`: what machine k is trained on, drawn from what the layers below it make of x.
      below_done: `f(k)`, called when machine k begins: takes over the weights of machine k - 1.
      transposed: Machines start as the ones below them turned over, where they have hidden units enough.

    Returns:
      List of `Stage`s "layer_1", "layer_2", ... of equal shares.
    """

    def stage(k, machine):
        (update,) = machine.updates()

        def given(batch, seed):
            labels = {} if machine.condition is None else {"condition": batch["condition"]}
            return {"x": inputs(k, batch["x"], seed)} | labels

        def objective(batch, seed, step):
            below, own = random.split(seed)
            return update.objective(given(batch, below), own, step)

        def enter(batch, seed):
            below, own, chains = random.split(seed, 3)
            below_done(k)
            fields = given(batch, below)
            machine.begin(fields, own)
            if transposed and k:
                start_transposed(machine, machines[k - 1])
            machine.start_chains(machine.observed(**fields), chains)

        name = f"layer_{k + 1}"
        return Stage(name, 1.0, [dataclasses.replace(update, name=name, objective=objective)], enter)

    return [stage(k, machine) for k, machine in enumerate(machines)]


def start_transposed(machine, below):
    """Starts an RBM as the one below it turned over: then p(h) is what the layers below said it was.

    With W' = W^T, b' = c and c' = b the new machine's marginal of its visible units is the old machine's of
    its hidden ones, so putting it in that place changes no p(x). Hidden units beyond those that are needed
    begin with the small weights they have, and change next to nothing.

    Args:
      machine: The RBM that starts: as many visible units as `below` has hidden ones.
      below: The RBM that is done.

    Returns:
      Whether there were hidden units enough.
    """
    more = machine.num_hidden - below.num_visible
    if more < 0:
        return False
    turned = tf.transpose(below.kernel.value)
    machine.kernel.assign(tf.concat([turned, machine.kernel.value[:, below.num_visible :]], axis=1))
    turned = tf.concat([below.joint.bias_without_offsets("v"), tf.zeros([more])], axis=0)
    machine.joint.begin_without_offsets("h", turned)
    machine.joint.begin_without_offsets("v", below.joint.bias_without_offsets("h"))
    return True
