"""Figures of runs side by side, with their kinds, data and cost, and what may not be compared.

RUN is a run's directory, a sweep's, which stands for all its runs, or a report in a run's evaluations/. With
--paired the nats of each test example are compared with the first run's.

python -m apps.compare runs/vae runs/made --paired
python -m apps.compare 'runs/*' --figures=nats --output=comparisons/all
"""

from tfgen.cli import TaskApp

app = TaskApp("tfgen.cli.compare.compare", words="runs")

if __name__ == "__main__":
    app.run()
