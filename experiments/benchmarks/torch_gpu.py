"""PyTorch's side of ``gpu.py``: channels last, fused optimisers, data on the device.

Three forms: eager; ``torch.compile``; and the whole step of the compiled one recorded in a
CUDA graph and replayed, so that the host launches once a step.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path

import gpu_cases
import torch
import torch_side
from gpu_serve import serve, tuning
from side import Case
from torch import Tensor, nn
from torch.nn import functional as F
from torch_side import CHECKED, DEVICE, Data, tensor

GPU = DEVICE.type == "cuda"
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.allow_tf32 = True
torch.backends.cuda.matmul.allow_tf32 = True
NEEDED = {"replay": "replay.npz", "gan": "gan.npz"}  # random draws, which jaxcl's side writes


def convolution(given: dict, stride: int) -> nn.Conv2d:
    """A convolution without bias, with given weights."""
    rows, _, inputs, outputs = given["kernel"].shape
    layer = nn.Conv2d(inputs, outputs, rows, stride, rows // 2, bias=False, device=DEVICE)
    layer.weight.data = tensor(given["kernel"].transpose(3, 2, 0, 1))
    return layer


class Block(nn.Module):
    """Two convolutions 3x3, and a way past them."""

    def __init__(self, given: dict, stride: int):  # noqa: D107
        super().__init__()
        width = len(given["bn1"]["scale"])
        self.conv1, self.bn1 = convolution(given["conv1"], stride), batch_norm(width)
        self.conv2, self.bn2 = convolution(given["conv2"], 1), batch_norm(width)
        self.past = nn.Sequential()
        if "shortcut_conv" in given:
            self.past = nn.Sequential(
                convolution(given["shortcut_conv"], stride), batch_norm(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Images to images."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.past(x))


def batch_norm(width: int) -> nn.BatchNorm2d:
    """As it comes: scale 1, bias 0."""
    return nn.BatchNorm2d(width, device=DEVICE)


class ResNet(nn.Module):
    """A convolution, stages of blocks, the mean over positions, a head."""

    def __init__(self, given: dict, blocks: tuple[int, ...]):  # noqa: D107
        super().__init__()
        shared = given["shared"]
        self.conv1 = convolution(shared["conv1"], 1)
        self.bn1 = batch_norm(len(shared["bn1"]["scale"]))
        self.blocks = nn.Sequential(
            *(
                Block(shared[f"stage{i + 1}_block{j + 1}"], 2 if i and not j else 1)
                for i, n in enumerate(blocks)
                for j in range(n)
            )
        )
        self.head = torch_side.linear(given["heads"]["t00"])
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of bytes in channels-last order."""
        x = F.relu(self.bn1(self.conv1(images.float() / 255)))
        return self.head(self.blocks(x).mean((2, 3)))


class Steps:
    """Steps of training, in one of three forms."""

    def __init__(self, net: nn.Module, data: Data, optimizer, loss, form: str, penalty=None):  # noqa: D107
        self.net, self.data, self.optimizer = net, data, optimizer
        self.loss = loss if form == "eager" else torch.compile(loss)
        self.penalty = penalty or (lambda loss: loss)
        self.first = {name: x.clone() for name, x in net.state_dict().items()}
        self.rows, self.found = data.rows(0).clone(), torch.zeros((), device=DEVICE)
        self.done, self.graph = 0, None
        if form == "graph" and GPU:
            self._record()

    def restart(self) -> None:
        """Goes back to the first weights, in the same memory."""
        with torch.no_grad():
            self.net.load_state_dict(self.first)
            for state in self.optimizer.state.values():
                for x in state.values():
                    x.zero_()
        self.done = 0

    def _body(self) -> None:
        self.optimizer.zero_grad()
        loss = self.loss(self.rows)
        loss.backward()
        self.found.copy_(self.penalty(loss.detach()))
        self.optimizer.step()

    def _record(self) -> None:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                self._body()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad()
        with torch.cuda.graph(graph):
            self._body()
        self.graph = graph
        self.restart()

    def run(self, steps: int) -> None:
        """So many steps more."""
        for _ in range(steps):
            self.rows.copy_(self.data.rows(self.done))
            self._body() if self.graph is None else self.graph.replay()
            self.done += 1
        torch_side.finished()

    def losses(self) -> list[float]:
        """Of the first steps."""
        found = []
        for _ in range(CHECKED):
            self.run(1)
            found.append(self.found.item())
        self.restart()
        return found


def resnet(run: gpu_cases.Run) -> Steps:
    """A residual network."""
    shape = gpu_cases.residual(run.case)
    problem = gpu_cases.resnet_problem(shape)
    net, data = ResNet(problem.weights, shape.blocks), Data(problem)
    kind = DEVICE.type

    def loss(rows: Tensor) -> Tensor:
        # Without the cache of narrow weights: a CUDA graph may not hold what is made before it.
        half = {"enabled": shape.half, "dtype": torch.bfloat16, "cache_enabled": False}
        with torch.autocast(kind, **half):
            logits = net(data.images[rows])
        return F.cross_entropy(logits.float(), data.labels[rows])

    optimizer = torch.optim.SGD(net.parameters(), 0.03, fused=True)
    return Steps(net, data, optimizer, loss, run.form)


def small(run: gpu_cases.Run) -> Steps:
    """The MLP or the CNN: a plain step, or one of a sweep with EWC at the first strength."""
    problem = gpu_cases.sweep_problem(run.case)
    net: nn.Module = {"mlp": torch_side.MLP, "cnn": torch_side.CNN}[run.case](problem.weights)
    data, params = Data(problem), list(net.parameters())
    anchor = [p.detach() + 0.01 for p in params]
    importance = [torch.full_like(p, 0.01) for p in params]
    strength = float(gpu_cases.STRENGTHS[0])

    def loss(rows: Tensor) -> Tensor:
        logits = net(data.images[rows])
        logits = logits[-1] if isinstance(logits, list) else logits
        return F.cross_entropy(logits, data.labels[rows])

    def penalty(loss: Tensor) -> Tensor:
        with torch.no_grad():
            far = torch._foreach_sub(params, anchor)
            weighed = torch._foreach_mul(far, importance)
            torch._foreach_add_([p.grad for p in params], weighed, alpha=strength)
            sums = [(w * f).sum() for w, f in zip(weighed, far, strict=True)]
            return loss + strength / 2 * torch.stack(sums).sum()

    optimizer = torch.optim.Adam(params, fused=True, capturable=GPU)
    return Steps(net, data, optimizer, loss, run.form, penalty if run.kind == "sweep" else None)


def made(key: str, folder: Path) -> tuple[Case, dict[str, float]]:
    """A case that is warm, and what that took."""
    run, start = gpu_cases.parsed(key), time.perf_counter()
    if run.kind == "step" and run.form != "graph":
        wait_for(folder, run.case)
        case = torch_side.CASES[run.case](folder, run.form == "compiled")
        found = case.check()
        case.run(gpu_cases.units(run) or 3)
        return Case(lambda: found, case.run), {"all": time.perf_counter() - start}
    with tuning(folder) if run.form == "eager" else nullcontext():
        steps = resnet(run) if run.kind == "resnet" else small(run)
        losses = steps.losses()
    each: Callable[[int], None] = steps.run
    return Case(lambda: losses, each), {"all": time.perf_counter() - start}


def wait_for(folder: Path, case: str) -> None:
    """Until jaxcl's side has written what is drawn."""
    path = folder / NEEDED.get(case, ".")
    while not path.exists():
        time.sleep(0.2)
    time.sleep(0.5 if case in NEEDED else 0)


def prepare(keys: list[str], folder: Path, alone: bool) -> Iterator[tuple[str, Future]]:
    """Gets one after the other ready."""
    del alone
    for key in keys:
        future: Future = Future()
        try:
            future.set_result(made(key, folder))
        except Exception as error:
            future.set_exception(error)
        yield key, future


if __name__ == "__main__":
    serve(prepare)
