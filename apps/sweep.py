"""Trainings over a grid of settings and several seeds: one table, one picture, means and deviations.

All settings are checked before the first training. Each run is a process of its own, in a directory named by
its settings; --resume goes on with a sweep that was stopped. Flags that are not the sweep's are the app's.

python -m apps.sweep vae --grid learning_rate=1e-3,3e-4 --grid latent_size=8,16 --seeds=3 --steps=1000
python -m apps.sweep gan --seeds=5
"""

from tfgen.cli import TaskApp

app = TaskApp("tfgen.cli.sweep.sweep", words="app", flags_of_app="flags")

if __name__ == "__main__":
    app.run()
