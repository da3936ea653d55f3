"""Split MNIST in the class setting by Avalanche, for ``references.py``.

    python experiments/benchmarks/torch_avalanche.py er|ewc FOLDER

FOLDER holds ``MNIST/raw``, as torchvision reads it.  Two digits a task, 784-400-400-10, Adam,
128 images a step, 21 epochs; 1,000 images kept, or EWC.  Prints the accuracy as a fraction.
"""

import sys

import torch
from avalanche.benchmarks.classic import SplitMNIST
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.models import SimpleMLP
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import EWC, Replay

EPOCHS, BATCH, KEPT, STRENGTH = 21, 128, 1000, 1e3


def main() -> None:
    """Learns the tasks one after the other and prints the accuracy on all of them."""
    method, folder = sys.argv[1:]
    torch.manual_seed(0)
    benchmark = SplitMNIST(5, fixed_class_order=range(10), dataset_root=folder)
    model = SimpleMLP(10, hidden_size=400, hidden_layers=2, drop_rate=0)
    shared = {
        "model": model,
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "criterion": torch.nn.CrossEntropyLoss(),
        "train_mb_size": BATCH,
        "train_epochs": EPOCHS,
        "eval_mb_size": 1000,
        "evaluator": EvaluationPlugin(accuracy_metrics(stream=True)),
    }
    if method == "er":
        strategy = Replay(mem_size=KEPT, **shared)
    else:
        strategy = EWC(ewc_lambda=STRENGTH, mode="separate", **shared)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    found = strategy.eval(benchmark.test_stream)
    print("accuracy", next(v for k, v in found.items() if k.startswith("Top1_Acc_Stream")))


if __name__ == "__main__":
    main()
