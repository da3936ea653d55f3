"""Protocols of the literature for CIFAR and Omniglot: many epochs, one pass, frozen features.

Light to import (no JAX), so that the command line answers at once.
"""

import dataclasses

from jaxcl.learner.settings.protocol import Protocol, Scenario
from jaxcl.methods.agem import AGEM
from jaxcl.methods.der import DER
from jaxcl.methods.der_pp import DERPP
from jaxcl.methods.er_ace import ERACE
from jaxcl.methods.gdumb import GDumb
from jaxcl.methods.icarl import ICaRL
from jaxcl.methods.replay import BufferReplay
from jaxcl.networks.choices import Linear, ResNet18
from jaxcl.scenarios.settings import DataSettings
from jaxcl.training.settings import Training

# Buzzega, Boschini, Porrello, Abati & Calderara, Dark experience for general continual learning,
# 2020 (arXiv 2004.07211): ResNet-18, 50 epochs of 32 images and 32 kept ones, crops and flips,
# gradient descent, a buffer of 200.  Their rates and weights were found on held-out images: those
# of ER on split CIFAR-10 hold here for all methods, those of DER and DER++ for these.
EPOCHS = Training(epochs=50, batch_size=32, optimizer="sgd", keep_optimizer=True, lr=0.1, l2=0.0)
DARK_EXPERIENCE = Protocol(
    data=DataSettings(
        setting="class", heads="full", resize="keep", augment=("crop", "flip"), normalise=True
    ),
    network=ResNet18(initial="uniform"),  # as the published code starts
    training=EPOCHS,
    # New and kept images are one batch, whose mean batch normalisation takes, and weigh the same.
    replay=BufferReplay(ratio=None, buffer=200, fill="online", replay_weight=0.5, joined=True),
    methods={
        "agem": AGEM(ratio=None, buffer=200),
        "der": DER(per_class=None, buffer=200, alpha=0.3),
        "der_pp": DERPP(per_class=None, buffer=200, alpha=0.1, beta=0.5),
        "er_ace": ERACE(buffer=200),
        "gdumb": GDumb(per_class=None, buffer=200),
        "icarl": ICaRL(per_class=None, buffer=200),
    },
)
# Lopez-Paz & Ranzato 2017 and what came after it: the ResNet-18 of width 20, one pass over each
# task in batches of 10 images and 10 kept ones.  Rate and weights are those that Caccia et al. 2022
# (arXiv 2104.05025) found for most methods on images held out.  Kept images pass the network by
# themselves.  They add their loss to that of new ones where ER here takes the mean, so ER has their
# steps at twice the rate.
ONLINE = DARK_EXPERIENCE._replace(
    network=ResNet18(width=20, initial="uniform"),
    training=dataclasses.replace(EPOCHS, epochs=1, batch_size=10, lr=0.01),
    replay=BufferReplay(ratio=None, buffer=200, fill="online", replay_weight=0.5),
    methods={
        **DARK_EXPERIENCE.methods,
        "der_pp": DERPP(per_class=None, buffer=200, alpha=0.25, beta=1.0),
    },
)
# Features that stay, one linear layer on them.
FROZEN = Protocol(
    data=DataSettings(setting="class"), network=Linear(), training=Training(epochs=5, l2=0.0)
)
# An alphabet a task, as in Schwarz et al. 2018, Progress & compress; the rest is ours.
ALPHABETS = Protocol(
    data=DataSettings(resize="keep"), training=Training(epochs=20, batch_size=32, l2=0.0)
)
NATURAL_IMAGES: dict[str, Scenario] = {
    "split-cifar10": Scenario(
        "CIFAR-10, two classes at a time", ("cifar10",), DARK_EXPERIENCE, "split", 5
    ),
    "split-cifar100": Scenario(
        "CIFAR-100, ten classes at a time", ("cifar100",), DARK_EXPERIENCE, "split", 10
    ),
    "online-cifar10": Scenario(
        "CIFAR-10, two classes at a time, in one pass", ("cifar10",), ONLINE, "split", 5
    ),
    "online-cifar100": Scenario(
        "CIFAR-100, five classes at a time, in one pass", ("cifar100",), ONLINE, "split", 20
    ),
    "frozen-cifar100": Scenario(
        "features of CIFAR-100 (EfficientNet-Lite0), ten classes at a time",
        ("cifar100_lite0",),
        FROZEN,
        "split",
        10,
    ),
    "split-omniglot": Scenario(
        "Omniglot, an alphabet at a time", ("omniglot",), ALPHABETS, "groups", 50
    ),
    "frozen-omniglot": Scenario(
        "features of Omniglot (EfficientNet-Lite0), an alphabet at a time",
        ("omniglot_lite0",),
        FROZEN,
        "groups",
        50,
    ),
}
"""CIFAR and Omniglot, as images and as features of a frozen backbone."""
