"""Learn tasks of your own: any arrays will do.

python experiments/tutorials/own_data.py
"""

import numpy as np
from sklearn.datasets import load_wine

import jaxcl

x, y = load_wine(return_X_y=True)
x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)  # 178 wines, 13 measurements, 3 growers
test = np.arange(len(x)) % 4 == 0
turned = x[:, ::-1].copy()  # the same wines by another laboratory, which lists them backwards
tasks = [
    jaxcl.Task("here", x[~test], y[~test], x[test], y[test]),
    jaxcl.Task("there", turned[~test], y[~test], turned[test], y[test]),
]
result = jaxcl.fit(
    tasks, method=jaxcl.methods.EWC(300.0), setting="domain", epochs=20, batch_size=20
)
print(result.accuracy.round(1))  # [seed, after task, task] in percent
