"""Plug & play generative network (Nguyen et al. 2016): codes of a generator, told a class by a classifier.

On the 8x8 digits an independent classifier finds 93 % of the asked classes in samples, 98 % in test examples.

python -m apps.plug_and_play
python -m apps.plug_and_play --generator_run=runs/dcgan --classifier_path=classifier.keras
"""

from tfgen.cli import App

app = App("tfgen.denoising.PlugAndPlay", steps=3000)

if __name__ == "__main__":
    app.run()
