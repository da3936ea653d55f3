"""Split MNIST in the class setting with PyTorch, from beginning to end.

    python experiments/benchmarks/torch_split.py er|ewc DATA.npz TASKS STEPS

With 5 tasks and 2000 steps, the protocol of van de Ven, Tuytelaars & Tolias (2022): two
digits a task, an MLP 784-400-400-10, Adam kept from task to task, 128 images a step; replay
of 100 images a class, or EWC with the exact Fisher of all images, example by example.  Prints
the average accuracy of all tasks so far.
"""

import sys
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH, KEPT, STRENGTH = 128, 100, 1e9


def network() -> nn.Sequential:
    """784-400-400-10 on bytes."""
    sizes = (784, 400, 400, 10)
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def logits_of(net: nn.Module, images: Tensor, classes: int) -> Tensor:
    """Of the classes so far."""
    return net(images.flatten(1).float() / 255)[:, :classes]


def fisher(net: nn.Module, images: Tensor, classes: int) -> list[Tensor]:
    """The exact diagonal Fisher, as libraries that have it compute it."""
    params = list(net.parameters())
    total = [torch.zeros_like(p) for p in params]
    for image in images:
        log_p = F.log_softmax(logits_of(net, image[None], classes)[0], -1)
        for c, p in enumerate(log_p.detach().exp()):
            slope = torch.autograd.grad(log_p[c], params, retain_graph=c + 1 < classes)
            for sum_, g in zip(total, slope, strict=True):
                sum_.addcmul_(g, g * p)
    return [x / len(images) for x in total]


def main() -> None:
    """Learns the tasks and prints the average accuracy, percent."""
    method, file, tasks, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with np.load(file) as stored:
        data = {name: torch.from_numpy(stored[name]) for name in stored.files}
    torch.manual_seed(0)
    net = network()
    params = list(net.parameters())
    optimizer = torch.optim.Adam(params, fused=True)
    anchors: list[tuple[list[Tensor], list[Tensor]]] = []
    kept: list[tuple[Tensor, Tensor]] = []
    for task in range(tasks):
        classes = 2 * task + 2
        own = torch.nonzero(data["train_labels"] // 2 == task)[:, 0]
        images, labels = data["train_inputs"][own], data["train_labels"][own].long()
        if kept:
            old, old_labels = (torch.cat(x) for x in zip(*kept, strict=True))
        for _ in range(steps):
            rows = torch.randint(len(images), (BATCH,))
            loss = F.cross_entropy(logits_of(net, images[rows], classes), labels[rows])
            if method == "er" and kept:
                again = torch.randint(len(old), (BATCH,))
                replayed = F.cross_entropy(logits_of(net, old[again], classes), old_labels[again])
                loss = loss / (task + 1) + replayed * task / (task + 1)
            for importance, anchor in anchors:
                far = torch._foreach_sub(params, anchor)
                weighed = torch._foreach_mul(torch._foreach_mul(far, far), importance)
                loss = loss + STRENGTH / 2 * sum(x.sum() for x in weighed)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if method == "er":
            for c in (classes - 2, classes - 1):
                rows = torch.nonzero(labels == c)[:, 0]
                rows = rows[torch.randperm(len(rows))[:KEPT]]
                kept.append((images[rows], labels[rows]))
        else:
            anchors.append((fisher(net, images, classes), [p.detach().clone() for p in params]))
    found = []
    with torch.no_grad():
        right = logits_of(net, data["test_inputs"], 10).argmax(-1) == data["test_labels"]
        for task in range(tasks):
            found.append(100 * right[data["test_labels"] // 2 == task].float().mean().item())
    print(np.mean(found))


if __name__ == "__main__":
    main()
