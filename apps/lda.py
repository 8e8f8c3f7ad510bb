"""Latent Dirichlet allocation (Blei, Ng & Jordan 2003): topics of documents.

On documents: topics of Python's language reference, their words in `topics.txt`.

python -m apps.lda --num_topics=20
python -m apps.lda --dataset=folder:letters
"""

from tfgen.cli import App

app = App(
    "tfgen.classical.LatentDirichletAllocation",
    dataset="documents",
    counts=True,
    steps=200,
    batch_size=500,
    num_topics=12,
)

if __name__ == "__main__":
    app.run()
