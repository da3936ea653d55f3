"""PyTorch's side: the same work, as a careful user of PyTorch would write it.

Channels last, fused Adam, data on the device from the start, penalties by one call over
all weights; ``compiled`` puts the loss through ``torch.compile``.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import problems
import torch
from side import Case
from torch import Tensor, nn
from torch.nn import functional as F

CHECKED = 5
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def tensor(x: np.ndarray) -> Tensor:
    """An array on the device."""
    return torch.from_numpy(np.ascontiguousarray(x)).to(DEVICE)


def linear(given: dict) -> nn.Linear:
    """A dense layer with given weights."""
    layer = nn.Linear(*given["w"].shape, device=DEVICE)
    layer.weight.data, layer.bias.data = tensor(given["w"].T), tensor(given["b"])
    return layer


def convolution(given: dict) -> nn.Conv2d:
    """A 3x3 convolution with given weights."""
    layer = nn.Conv2d(*given["w"].shape[2:], 3, device=DEVICE)
    layer.weight.data = tensor(given["w"].transpose(3, 2, 0, 1))
    layer.bias.data = tensor(given["b"])
    return layer.to(memory_format=torch.channels_last)


def stack(given: dict) -> nn.ModuleList:
    """Dense layers."""
    return nn.ModuleList(linear(given[name]) for name in sorted(given))


class MLP(nn.Module):
    """Dense layers with ReLU, and a head."""

    def __init__(self, given: dict):  # noqa: D107
        super().__init__()
        self.layers = stack({name: given[name] for name in ("fc1", "fc2")})
        self.head = linear(given["heads"]["t00"])

    def forward(self, images: Tensor) -> Tensor:
        """Logits of bytes."""
        x = images.flatten(1).float() / 255
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.head(x)


class CNN(nn.Module):
    """Branches of two convolutions, pooling, a shared dense layer, heads."""

    def __init__(self, given: dict):  # noqa: D107
        super().__init__()
        names = sorted(given["conv1"])
        self.first = nn.ModuleList(convolution(given["conv1"][name]) for name in names)
        self.second = nn.ModuleList(convolution(given["conv2"][name]) for name in names)
        w = given["fc1"]["w"].reshape(14, 14, 64, -1).transpose(2, 0, 1, 3)
        self.shared = linear({**given["fc1"], "w": w.reshape(14 * 14 * 64, -1)})
        self.heads = nn.ModuleList(linear(given["heads"][name]) for name in sorted(given["heads"]))
        for branch in (*self.first[:-1], *self.second[:-1]):  # of earlier tasks
            branch.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The logits of every head, of bytes in channels-last order."""
        x = images.float() / 255
        units = []
        for first, second in zip(self.first, self.second, strict=True):
            y = F.max_pool2d(F.relu(second(F.relu(first(x)))), 2)
            # The order of the dense layer's inputs: channels, rows, columns.
            units.append(F.relu(self.shared(y.flatten(1))))
        return [head(units[min(i, len(units) - 1)]) for i, head in enumerate(self.heads)]


class Data:
    """A task on the device, walked through in the given order, again and again."""

    def __init__(self, problem: problems.Problem):  # noqa: D107
        self.labels, self.order = tensor(problem.labels).long(), tensor(problem.order).long()
        images = torch.from_numpy(problem.images).permute(0, 3, 1, 2).to(DEVICE)
        self.images = images.contiguous(memory_format=torch.channels_last)

    def rows(self, step: int) -> Tensor:
        """Of a step's batch."""
        return self.order[step % len(self.order)]


def finished() -> None:
    """Waits for the device."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def training(net: nn.Module, loss_of: Callable[[int], Tensor], step=None) -> Case:
    """Steps of Adam; ``step(loss, optimizer)`` in place of the usual one."""
    optimizer = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), fused=True)
    first = {name: x.clone() for name, x in net.state_dict().items()}
    fresh = optimizer.state_dict()
    done = 0

    def usual(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def one() -> Tensor:
        nonlocal done
        loss = loss_of(done)
        step(loss, optimizer) if step else usual(loss)
        done += 1
        return loss.detach()

    def check() -> list[float]:
        nonlocal done
        found = [one().item() for _ in range(CHECKED)]
        net.load_state_dict(first)
        optimizer.load_state_dict(fresh)
        done = 0
        return found

    def run(steps: int) -> None:
        for _ in range(steps):
            one()
        finished()

    return Case(check, run)


def mlp_case(folder: Path, compiled: bool) -> Case:
    """The first task."""
    del folder
    problem = problems.mlp()
    net, data = MLP(problem.weights), Data(problem)

    def loss(rows: Tensor) -> Tensor:
        return F.cross_entropy(net(data.images[rows]), data.labels[rows])

    loss = torch.compile(loss) if compiled else loss
    return training(net, lambda step: loss(data.rows(step)))


def cnn_case(folder: Path, compiled: bool, tasks: int = 1, branches: bool = False) -> Case:
    """The first task, or a later one with the old responses held on to."""
    del folder
    problem = problems.cnn(tasks, branches=branches)
    net, data = CNN(problem.weights), Data(problem)
    with torch.no_grad():
        teacher = CNN(problems.before(problem.weights))
        parts = [teacher(part)[:-1] for part in data.images.split(500)]
    old = [F.softmax(torch.cat(of) / 2, -1) for of in zip(*parts, strict=True)]

    def loss(rows: Tensor) -> Tensor:
        *before, new = net(data.images[rows])
        total = F.cross_entropy(new, data.labels[rows])
        for logits, target in zip(before, old, strict=True):
            total = total + 15 * F.cross_entropy(logits / 2, target[rows])
        return total

    loss = torch.compile(loss) if compiled else loss
    return training(net, lambda step: loss(data.rows(step)))


def si_case(folder: Path, compiled: bool) -> Case:
    """The penalty's gradient is written out, so that the plain one is at hand."""
    del folder
    problem = problems.mlp()
    net, data = MLP(problem.weights), Data(problem)
    params = list(net.parameters())
    anchor = [p.detach() + 0.01 for p in params]
    importance, path = ([torch.full_like(p, v) for p in params] for v in (0.5, 0.0))

    def plain(rows: Tensor) -> Tensor:
        return F.cross_entropy(net(data.images[rows]), data.labels[rows])

    plain = torch.compile(plain) if compiled else plain

    def step(loss: Tensor, optimizer) -> None:
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            slope = [p.grad.clone() for p in params]
            far = torch._foreach_sub(params, anchor)
            weighed = torch._foreach_mul(far, importance)
            penalty = sum((w * f).sum() for w, f in zip(weighed, far, strict=True))
            loss += 10 * penalty
            torch._foreach_add_([p.grad for p in params], weighed, alpha=20)
            before = [p.clone() for p in params]
            optimizer.step()
            moved = torch._foreach_sub(params, before)
            torch._foreach_addcmul_(path, slope, moved, -1)

    return training(net, lambda i: plain(data.rows(i)), step)


def replay_case(folder: Path, compiled: bool) -> Case:
    """As many examples of the memory as of the task."""
    problem = problems.mlp()
    net, data = MLP(problem.weights), Data(problem)
    with np.load(folder / "replay.npz") as kept:
        images, labels = tensor(kept["input"]), tensor(kept["label"]).long()
        drawn = tensor(kept["rows"]).long()
    n, kept_images = problem.order.shape[1], images.permute(0, 3, 1, 2)

    def loss(rows: Tensor, again: Tensor) -> Tensor:
        new = F.cross_entropy(net(data.images[rows]), data.labels[rows])
        return 0.5 * new + 0.5 * F.cross_entropy(net(kept_images[again]), labels[again])

    loss = torch.compile(loss) if compiled else loss

    def of(step: int) -> Tensor:
        random = step >= len(drawn)
        again = torch.randint(len(labels), (n,), device=DEVICE) if random else drawn[step]
        return loss(data.rows(step), again)

    return training(net, of)


def fisher_case(folder: Path, compiled: bool, net: nn.Module, problem: problems.Problem) -> Case:
    """Example by example, class by class: what libraries that have an exact Fisher do."""
    del folder, compiled
    data, params = Data(problem), list(net.parameters())

    def fisher(n: int) -> list[Tensor]:
        total = [torch.zeros_like(p) for p in params]
        for i in range(n):
            out = net(data.images[i % len(data.images)][None])
            logits = (out[0] if isinstance(out, list) else out)[0]
            log_p = F.log_softmax(logits, -1)
            for c, p in enumerate(log_p.detach().exp()):
                keep = c + 1 < len(log_p)
                slope = torch.autograd.grad(log_p[c], params, retain_graph=keep)
                for sum_, g in zip(total, slope, strict=True):
                    sum_.addcmul_(g, g * p)
        finished()
        return [x / n for x in total]

    def check() -> list[float]:
        sums = [x.sum().item() for x in fisher(20)]
        # jaxcl has the bias of a layer before its weights.
        return [value for pair in zip(sums[1::2], sums[::2], strict=True) for value in pair]

    return Case(check, lambda n: (fisher(n), None)[1])


def gan_case(folder: Path, compiled: bool) -> Case:
    """Eager: ``torch.compile`` cannot differentiate twice."""
    del compiled
    problem = problems.gan()
    generator, critic = (stack(problem.weights[name]) for name in ("generator", "critic"))
    data, n = Data(problem), problem.order.shape[1]
    of_generator, of_critic = (
        torch.optim.Adam(net.parameters(), 1e-4, (0.5, 0.9), fused=True)
        for net in (generator, critic)
    )
    average = [p.detach().clone() for p in generator.parameters()]

    def generate(z: Tensor) -> Tensor:
        *inner, last = generator
        for layer in inner:
            z = F.relu(layer(z))
        return torch.sigmoid(last(z))

    def criticise(x: Tensor) -> Tensor:
        *inner, last = critic
        for layer in inner:
            x = F.leaky_relu(layer(x), 0.2)
        return last(x)[:, 0]

    def critic_step(real: Tensor, z: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            fake = generate(z)
        scores = criticise(torch.cat([real, fake]))
        between = (mix * real + (1 - mix) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(criticise(between).sum(), between, create_graph=True)
        penalty = (slope.norm(dim=1) - 1).square().mean()
        loss = scores[n:].mean() - scores[:n].mean() + 10 * penalty
        of_critic.zero_grad()
        loss.backward()
        of_critic.step()
        return loss.detach(), penalty.detach()

    def generator_step(z: Tensor) -> Tensor:
        critic.requires_grad_(False)
        loss = -criticise(generate(z)).mean()
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()
        critic.requires_grad_(True)
        torch._foreach_lerp_(average, list(generator.parameters()), 0.001)
        return loss.detach()

    def codes() -> Tensor:
        return torch.randn(n, 100, device=DEVICE)

    def run(iterations: int) -> None:
        for _ in range(iterations):
            for _ in range(5):
                rows = torch.randint(len(data.images), (n,), device=DEVICE)
                real = data.images[rows].flatten(1).float() / 255
                critic_step(real, codes(), torch.rand(n, 1, device=DEVICE))
            generator_step(codes())
        finished()

    def check() -> list[float]:
        with np.load(folder / "gan.npz") as drawn:
            real, z, mix = (tensor(drawn[name]) for name in ("real", "codes", "mix"))
            last = tensor(drawn["last"])
        for i in range(5):
            found = critic_step(real[i].flatten(1), z[i], mix[i].flatten(1))
        loss = generator_step(last)
        return [*(x.item() for x in found), loss.item(), generator[0].weight.abs().sum().item()]

    return Case(check, run)


def data_case(folder: Path, compiled: bool) -> Case:
    """Batches of images as a step sees them, each looked at by adding it up."""
    del folder, compiled
    problem = problems.cnn()
    images, order = tensor(problem.images), tensor(problem.order)

    def total(batches: int) -> Tensor:
        so_far = torch.zeros((), device=DEVICE)
        for i in range(batches):
            so_far += (images[order[i % len(order)]].float() / 255).sum()
        return so_far

    def run(batches: int) -> None:
        total(batches)
        finished()

    return Case(lambda: [total(CHECKED).item()], run)


def seeds_case(folder: Path, compiled: bool) -> Case:
    """One network after the other: each step is a step of one of them."""
    return mlp_case(folder, compiled)._replace(check=list)


def _fisher(make: Callable[[dict], nn.Module], problem: Callable[[], problems.Problem]):
    def case(folder: Path, compiled: bool) -> Case:
        given = problem()
        return fisher_case(folder, compiled, make(given.weights), given)

    return case


CASES: dict[str, Callable[[Path, bool], Case]] = {
    "cnn": cnn_case,
    "cnn-lwf": partial(cnn_case, tasks=2),
    "cnn-split": partial(cnn_case, tasks=4, branches=True),
    "mlp": mlp_case,
    "si": si_case,
    "replay": replay_case,
    "gan": gan_case,
    "fisher-mlp": _fisher(MLP, problems.mlp),
    "fisher-mlp-12": _fisher(MLP, problems.mlp),
    "fisher-cnn": _fisher(CNN, problems.cnn),
    "data": data_case,
    **{f"seeds-{n}": seeds_case for n in (4, 16, 64)},
}
